import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startGateway } from '../../integration/gateway/gateway.ts';
import type { TestGateway } from '../../integration/gateway/gateway.ts';
import { rawRequest, sendRaw } from '../../integration/gateway/http/raw-request.ts';
import { upstreamKinds } from './upstreams.ts';
import type { Upstream } from './upstreams.ts';

const policy = {
  plans: '{ free: { limits: [{ name: minute, per: ip, limit: 1000000, window: 1m }] } }',
  routes: `
  - { match: POST /agent/chat, limits: [{ name: chat, per: ip, limit: 1000000, window: 1m }] }
  - { match: POST /files/**, limits: [{ name: files, per: ip, limit: 1000000, window: 1m }] }`,
  exempt: '{ routes: [POST /free] }',
};

/** For each route of the upstream, the route of the policy that must be charged. */
const routes: Readonly<Record<string, string>> = {
  chat: 'POST /agent/chat',
  files: 'POST /files/**',
  free: 'POST /free',
  other: '*',
};

/** Spellings of a limited path that servers interpret differently. */
const corpus: readonly string[] = [
  '/agent/chat',
  '/agent/chat?x=/../free',
  '/agent/chat/',
  '/agent/chat//',
  '//agent/chat',
  '/agent//chat',
  '/./agent/chat',
  '/agent/./chat',
  '/x/../agent/chat',
  '/agent/x/../chat',
  '/agent/chat/..',
  '/agent/chat/../chat',
  '/../agent/chat',
  '/%2e%2e/agent/chat',
  '/x/%2E%2e/agent/chat',
  '/x/.%2e/agent/chat',
  '/agent%2Fchat',
  '/agent%2fchat',
  '%2Fagent/chat',
  '/%2Fagent/chat',
  '/agent/chat%2F',
  '/agent%5Cchat',
  '/agent\\chat',
  '\\agent\\chat',
  '/x\\..\\agent/chat',
  '/x/..\\agent/chat',
  '/%61gent/%63hat',
  '/%41gent/chat',
  '/%2561gent/chat',
  '/agent%252Fchat',
  '/agent%25252Fchat',
  '/Agent/chat',
  '/AGENT/CHAT',
  '/agent/chat;x=1',
  '/agent;x=1/chat',
  '/agent/chat;',
  '/;/agent/chat',
  '/agent/chat;/../free',
  '/free;/../agent/chat',
  '/x/..;/agent/chat',
  '/agent/chat%3Bx',
  '/agent/chat%00',
  '/agent/chat%00.html',
  '/agent/chat%0a',
  '/agent/chat%20',
  '/agent/chat%23',
  '/agent/chat#',
  '/agent/chat#x',
  '/free#/../agent/chat',
  '/agent/chat%3Fx',
  '/free%3F/../agent/chat',
  '/agent/chat%',
  '/agent/chat%zz',
  '/agent/%c0%afchat',
  '/agent%c0%afchat',
  '/agent%e0%80%afchat',
  '/agent%u002fchat',
  '/agent/cha\u00f4t',
  '/agent%EF%BC%8Fchat',
  '/agent%E2%88%95chat',
  '/agent/chat%E2%80%8B',
  '/agent/chat.',
  '/agent/chat.json',
  '/agent/chat|',
  '/agent/{chat}',
  '/files/../agent/chat',
  '/files/x/../../agent/chat',
  '/files/..%2Fagent/chat',
  '/files/%2e%2e/free',
  '/files//x',
  '/files/',
  '/files',
  '/files/x%2Fy',
  '/files/..',
  '/free/../files/x',
  '/free/..;/files/x',
  '/Files/x',
  '/files;x/y',
  'http://any.example/agent/chat',
  'http://any.example//agent/chat',
  'http://any.example/files/../agent/chat',
  'HTTP://ANY.EXAMPLE/agent/chat',
  'https://any.example:8443/free',
  'http://any.example',
  'http://any.example?/agent/chat',
  'http://user:secret@any.example/agent/chat',
  'http://any.example\\agent/chat',
  'ftp://any.example/agent/chat',
  '*',
];

const piece = fc.constantFrom(
  ...[
    'agent',
    'chat',
    'free',
    'files',
    'x',
    'Chat',
    '/',
    '//',
    '/./',
    '/../',
    '\\',
    ';',
    ';a=b',
    '.',
    '..',
    ' ',
  ],
  ...[
    '%2F',
    '%5c',
    '%2e',
    '%2e%2e/',
    '%00',
    '%61',
    '%25',
    '%252F',
    '%3b',
    '%3A',
    '%20',
    '%C3%A9',
    '?',
    '#',
    '%',
    '|',
    '*',
  ],
);

/** Generates a path of the API in which up to three hostile pieces are inserted or replace a part of the path. */
const spelling = fc
  .record({
    path: fc.constantFrom('/agent/chat', '/AGENT/chat', '/files/x', '/free', '/other/x'),
    edits: fc.array(fc.record({ at: fc.nat(12), put: piece, over: fc.nat(2) }), {
      minLength: 1,
      maxLength: 3,
    }),
  })
  .map(({ path, edits }) =>
    edits.reduce<string>((text, { at, put, over }) => text.slice(0, at) + put + text.slice(at + over), path),
  );
const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31));

describe.each(upstreamKinds)('$name', ({ start, requests }) => {
  let upstream: Upstream;
  let gateway: TestGateway;

  beforeAll(async () => {
    upstream = await start();
    gateway = await startGateway({ policy, upstream: upstream.url });
  });

  afterAll(async () => {
    await gateway.close();
    await upstream.close();
  });

  /** Sends one spelling and compares the route that the upstream served with the route that was charged. */
  async function holds(target: string): Promise<string> {
    gateway.events.length = 0;
    const { status, head } = await sendRaw(gateway.proxyUrl, rawRequest(`POST ${target}`));
    const served = /^x-served: (\w+)/im.exec(head)?.[1] ?? null;
    const charged = gateway.requests()[0]?.data;
    const story = `${target}: served ${String(served)}, charged ${charged?.route ?? 'nothing'} for ${charged?.path ?? ''} (${status})`;
    expect(head, story).toMatch(/x-ratelimit-limit: \d/i);
    if (served === null) return story;
    // No spelling of another path is exempt, and a final slash makes another path.
    if (served !== 'free') expect(charged?.decision, story).toBe('allowed');
    else if (charged?.path === '/free') expect(charged.decision, story).toBe('bypassed');
    const route = routes[served];
    // Limits ignore a final slash, and `**` also matches zero segments. So a request may be charged to a limited route
    // although the upstream serves it by another route, but never the reverse.
    const mayDiffer = /^\/files\/?(;|$)|\/(;|$)/i.test(charged?.path ?? '');
    if (served !== 'other' || !mayDiffer) expect(charged?.route, story).toBe(route);
    return story;
  }

  test.each(['/agent%2Fchat', '/agent%2fchat', '/agent/%63hat', '/x/../agent/chat'])(
    'F4: POST %s is charged to the route that serves it, or is a 400',
    async (target) => {
      for (const reading of ['{}', requests]) {
        gateway.usePolicy({ ...policy, requests: reading });
        const story = await holds(target);
        if (!story.includes('served null')) continue;
        expect(story).toMatch(/charged \S+ for \S* \(400\)$/);
        expect(gateway.requests()[0]?.data.limited_by).toEqual(['invalid']);
      }
    },
  );

  test('F4: the route that the upstream serves is the route that was charged, for every spelling of the corpus', async () => {
    for (const reading of ['{}', requests]) {
      gateway.usePolicy({ ...policy, requests: reading });
      const stories: string[] = [];
      for (const target of corpus) stories.push(await holds(target));
      expect(stories.filter((story) => story.includes('served chat')).length).toBeGreaterThan(5);
    }
  });

  test(`F4: the same for any spelling made of their pieces (seed ${seed})`, async () => {
    for (const reading of ['{}', requests]) {
      gateway.usePolicy({ ...policy, requests: reading });
      const property = fc.asyncProperty(spelling, async (target) => {
        await holds(target);
      });
      await fc.assert(property, { seed, numRuns: 150 });
    }
  });
});

test('F4: a WSGI server, which reads "_" as "-", gets the identity of the caller from Tollgate alone', async () => {
  const kind = upstreamKinds.find(({ name }) => name === 'Python, WSGI');
  const upstream = await kind?.start();
  const gateway = await startGateway({ policy, upstream: upstream?.url ?? '' });
  const claims = [
    'X-Tollgate-Tenant',
    'X_Tollgate_Tenant',
    'X-Tollgate_Tenant',
    'x_tollgate-tenant',
    'X__Tollgate-Tenant',
  ];
  for (const names of [...claims.map((name) => [name]), claims]) {
    const fields = names.map((name) => `${name}: victim`);
    const { status, head } = await sendRaw(gateway.proxyUrl, rawRequest('POST /free', fields));
    expect(status).toBe(200);
    expect(/^x-tenant:(.*)$/im.exec(head)?.[1]?.trim()).toBe('');
  }
  await gateway.close();
  await upstream?.close();
});
