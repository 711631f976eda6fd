// Goal: the command line reaches what the console shows: plan, limits, usage, decisions, events. Method: the commands
// run in this process against the admin API on real servers.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../../../services/cli/cli.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { adminToken, createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
let adminUrl: string;
beforeAll(async () => {
  fixture = await createFixture();
  adminUrl = await fixture.adminApp.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(() => fixture.dispose());

const unused = (): never => {
  throw new Error('not used');
};

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function tollgate(
  args: readonly string[],
  onOutput: (text: string) => void = () => undefined,
): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await runCli({
    ...{ args, kafka: unused, clickhouse: unused, actor: 'kim', nowMs: Date.now(), version: '0' },
    installation: () => Promise.resolve({ adminUrl, adminToken }),
    out(text) {
      out += `${text}\n`;
      onOutput(text);
    },
    err: (text) => void (err += `${text}\n`),
  });
  return { code, out, err };
}

const writes: readonly (readonly [string, (id: string) => string[]])[] = [
  ['set-plan', (id) => ['set-plan', id, 'pro']],
  ['limit', (id) => ['limit', id, 'minute=500']],
  ['set', (id) => ['set', id, '--name', 'Acme']],
  ['block', (id) => ['block', id, '--reason', 'abuse']],
  ['reset', (id) => ['reset', id]],
  [
    'boost',
    (id) => ['boost', id, '--limit', 'minute', '--multiply', '2', '--for', '1d', '--reason', 'launch'],
  ],
];
test.each(writes)(
  '%s refuses a mistyped id without writing a record; --create writes it',
  async (_name, argsOf) => {
    const id = uniqueName('mistyped');
    const ran = await tollgate(argsOf(id));
    expect(ran).toMatchObject({ code: 1, out: '' });
    expect(ran.err).toContain(`There is no tenant “${id}”`);
    expect(fixture.directory.get(id)).toBeUndefined();
    expect(await tollgate([...argsOf(id), '--create'])).toMatchObject({ code: 0, err: '' });
    expect(fixture.directory.get(id)).toBeDefined();
  },
);

test('set-plan and limit change plan and limits of a tenant; usage without a record is enough', async () => {
  const id = uniqueName('seen');
  await storeUsage(fixture.clickhouse, [{ timeMs: Date.now() - 5_000, tenant: id }]);
  expect(await tollgate(['set-plan', id, 'pro'])).toMatchObject({
    code: 0,
    out: `${id} has the plan pro.\n`,
  });
  expect((await tollgate(['limit', id, 'minute=500', 'day=9'])).code).toBe(0);
  expect((await tollgate(['limit', id, 'day=none'])).out).toContain('“day” is the plan’s');
  expect(fixture.directory.get(id)).toMatchObject({ plan: 'pro', overrides: { minute: 500 } });
  expect((await tollgate(['set-plan', id, 'gold'])).err).toContain('the policy has no plan “gold”');
  expect((await tollgate(['limit', id, 'minute'])).code).toBe(2);
});

test('tenants --plan with a plan that does not exist is an error with the plans that exist', async () => {
  const ran = await tollgate(['tenants', '--plan', 'gold']);
  expect(ran).toMatchObject({ code: 1, out: '' });
  expect(ran.err).toMatch(/no plan “gold”; it has: .*pro/);
});

test('usage, top, explain and events tail print what was recorded', async () => {
  const id = uniqueName('reach');
  const nowMs = Date.now();
  await storeUsage(fixture.clickhouse, [
    { timeMs: nowMs - 4_000, tenant: id, cost: 0.5 },
    { timeMs: nowMs - 3_000, tenant: id, cost: 0.5 },
    {
      ...{ timeMs: nowMs - 2_000, tenant: id, user: 'ada', decision: 'limited', limitedBy: ['chat'] },
      ...{ route: 'POST /agent/chat', apiKey: '0123456789ab', policyRevision: 'rev-1' },
    },
  ]);
  expect((await tollgate(['usage', id])).out).toMatch(/Today: 3 requests, 1 refused, 2 units, cost 1\n/);
  expect((await tollgate(['usage', uniqueName('none')])).err).toContain('No such tenant');
  expect((await tollgate(['top', '--by', 'requests', '--count', '500'])).out).toMatch(
    new RegExp(`^${id} +free +3 +1 `, 'm'),
  );
  expect((await tollgate(['top', '--by', 'size'])).code).toBe(2);
  const tail = await tollgate(['events', 'tail', '--tenant', id]);
  expect(tail.out.trim().split('\n')).toHaveLength(3);
  const refused = await tollgate(['events', 'tail', '--tenant', id, '--refused']);
  expect(refused.out).toMatch(/ada .*limited by chat/);
  const decision = refused.out.trim().split(' ').at(-1) ?? '';
  const explained = await tollgate(['explain', decision]);
  expect(explained.out).toContain(
    'The limit “chat” allows 10 requests in any minute for each user on POST /agent/chat',
  );
  expect(explained.out).toMatch(/“chat”: 2 of 10 units were used in the minute before it/);
  expect(explained.out).toContain('API key 0123456789ab, policy rev-1');
  expect(await tollgate(['explain', 'none'])).toMatchObject({ code: 1 });
});

test('events tail --follow prints each new event once', async () => {
  const id = uniqueName('follow');
  await storeUsage(fixture.clickhouse, [{ timeMs: Date.now() - 2_000, tenant: id }]);
  const lines: string[] = [];
  const stop = new Error('stopped by the test');
  const following = tollgate(['events', 'tail', '--tenant', id, '--follow'], (text) => {
    lines.push(text);
    // The command runs until it is stopped; the second event stops it.
    if (lines.length === 2) throw stop;
  });
  await eventually(() => lines.length === 1);
  await storeUsage(fixture.clickhouse, [
    { timeMs: Date.now() - 2_000, tenant: uniqueName('other') },
    { timeMs: Date.now(), tenant: id },
  ]);
  expect(await following).toMatchObject({ code: 1 });
  expect(new Set(lines).size).toBe(2);
});

test('C8: alerts test sends a test message to all targets of a tenant, or to one', async () => {
  const id = uniqueName('targets');
  expect((await tollgate(['alerts', 'test', id])).err).toContain('no notification target');
  const emails = ['dev@example.com', 'ops@example.com'];
  await fixture.admin(`PATCH /admin/v1/tenants/${id}`, { notifications: { emails } });
  const sent = (await tollgate(['alerts', 'test', id])).out;
  expect(sent).toMatch(/dev@example\.com\n.*ops@example\.com/);
  const target = /email-[0-9a-f]{16}/.exec(sent)?.[0] ?? '';
  expect((await tollgate(['alerts', 'test', id, '--target', target])).code).toBe(0);
  expect(fixture.testMessages.filter(({ tenant_id: to }) => to === id)).toMatchObject([
    { kind: 'test' },
    { kind: 'test', only_target: target },
  ]);
});

test('C8: alerts set stores when a tenant is notified of a limit, and names a setting that has no effect', async () => {
  const id = uniqueName('alerts');
  await fixture.admin(`PATCH /admin/v1/tenants/${id}`, { notifications: { emails: ['dev@example.com'] } });
  const set = (...args: string[]) => tollgate(['alerts', 'set', id, ...args]);
  expect((await set('platform-tenant', '--refusals', '5')).out).toContain('from 5 refusals in a minute');
  expect(await set('day', '--at', '92.5,70')).toMatchObject({ code: 0 });
  expect(await set('chat', '--refusals', '3')).toMatchObject({ code: 0 });
  expect(await set('chat', '--refusals', 'none')).toMatchObject({ code: 0 });
  expect(fixture.directory.get(id)?.notifications).toEqual({
    emails: ['dev@example.com'],
    limits: { 'platform-tenant': { refusals: 5 }, day: { thresholds: [0.7, 0.925] } },
  });
  expect((await set('minute', '--at', '70')).err).toContain('has no used share; set `refusals`');
  expect((await set('platform', '--refusals', '5')).err).toContain('a limit of the whole platform');
  expect((await set('day')).code).toBe(2);
  expect((await set('day', '--at', 'most')).code).toBe(2);
});
