import { describe, expect, test } from 'vitest';
import { isBlocked, limitsFor } from '../../../shared/policy/match.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { policyOf, routeOf } from './text.ts';

const policy = policyOf({
  routes: `
  - match: GET /files/**
  - match: "* /files/*"
  - match: GET /files/readme
  - match: POST /agent/chat
    limits: [{ name: chat, per: user, limit: 10, by_plan: { pro: 50 }, window: 1m }]
  - match: "* /agents/*/runs"
  - match: GET /agents/one/**
  - match: "* /**"
    limits: [{ name: any, per: ip, limit: 7, window: 1m }]`,
  plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 5, window: 1m }] }
  pro: { limits: [{ name: minute, per: tenant, limit: 50, window: 1m }] }`,
});

describe('the most specific route matches, in any order of the file', () => {
  test.each([
    ['GET', '/files/readme', 'GET /files/readme'],
    ['PUT', '/files/readme', '* /files/*'],
    ['GET', '/files/other', '* /files/*'],
    ['GET', '/files/a/b', 'GET /files/**'],
    ['GET', '/files', 'GET /files/**'],
    ['POST', '/files/a/b', '* /**'],
    ['POST', '/agents/one/runs', '* /agents/*/runs'],
    ['GET', '/agents/one/runs', 'GET /agents/one/**'],
    ['GET', '/agents/two/runs', '* /agents/*/runs'],
    ['HEAD', '/files/a/b', '* /**'],
    ['GET', '/', '* /**'],
  ])('%s %s is %s', (method, path, match) => {
    expect(routeOf(policy, method, path)?.match).toBe(match);
  });

  test('HEAD matches as GET if no route names HEAD', () => {
    const one = policyOf({ routes: '[{ match: GET /health }]' });
    expect(routeOf(one, 'HEAD', '/health')?.match).toBe('GET /health');
    expect(routeOf(one, 'POST', '/health')).toBeNull();
  });

  test.each([
    '/agent/chat?x=1',
    '/agent/chat/',
    '//agent///chat',
    '/agent/%63hat',
    '/agent/./chat',
    '/other/../agent/chat',
    '/%61gent/%63%68at',
    'http://any.example/agent/chat',
  ])('a path written otherwise does not slip past its limits: %s', (path) => {
    expect(routeOf(policy, 'POST', path)?.match).toBe('POST /agent/chat');
  });

  test.each([
    ['another letter case', '/Agent/chat'],
    ['parameters', '/agent/chat;x=1'],
    ['parameters that hold a slash for some', '/agent/chat;/x'],
    ['parameters and another letter case', '/AGENT/chat;x'],
    ['an escape of an escape', '/agent/%2563hat'],
    ['an escape of an escaped slash', '/agent%252Fchat'],
    ['an escape of an escaped parameter', '/agent/chat%253Bx'],
    ['a dot at the end', '/agent/chat.'],
    ['spaces at the end', '/agent%20/chat%20.'],
  ])('a path that some servers read as a route and others do not has none: %s', (_what, path) => {
    expect(() => routeOf(policy, 'POST', path)).toThrow(/different routes/);
  });

  test.each(['/Other', '/files/Bob;x=1', '/other;x=1', '/files/50%2525', '/agent/chat%3Ax'])(
    'a path whose routes are the same in every reading has it: %s',
    (path) => {
      expect(routeOf(policy, 'POST', path)).not.toBeNull();
    },
  );

  test('letter case matters as the policy states', () => {
    const routes = '[{ match: POST /Agent/chat }]';
    const chat = (requests: string, path: string): string | undefined =>
      routeOf(policyOf({ routes, requests }), 'POST', path)?.match;
    expect(chat('{ letter_case: insensitive }', '/agent/CHAT')).toBe('POST /Agent/chat');
    expect(chat('{ letter_case: sensitive }', '/agent/CHAT')).toBeUndefined();
    expect(() => chat('{}', '/agent/CHAT')).toThrow(/different routes/);
    expect(chat('{}', '/Agent/chat')).toBe('POST /Agent/chat');
    const both = policyOf({ routes: '[{ match: POST /A }, { match: POST /a }]' });
    expect([routeOf(both, 'POST', '/A')?.match, routeOf(both, 'POST', '/a')?.match]).toEqual([
      'POST /A',
      'POST /a',
    ]);
  });

  test('a path that is forwarded unchanged has a route only if its dot segments and slashes do not change it', () => {
    for (const path of ['//agent/chat', '/x/../agent/chat', '/agents//runs', '/files/../agent/chat']) {
      expect(() => routeOf(policy, 'POST', path, false), path).toThrow(/different routes/);
    }
    expect(routeOf(policy, 'POST', '//other/./x', false)?.match).toBe('* /**');
  });

  test('a path of 8,000 segments is matched in bounded time', () => {
    const started = performance.now();
    expect(routeOf(policy, 'GET', '/a'.repeat(8_000))?.match).toBe('* /**');
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});

const record = (fields: Partial<TenantRecord>): TenantRecord => ({
  tenant_id: 'acme',
  updated_at: '2026-01-01T00:00:00Z',
  updated_by: 'test',
  ...fields,
});

const at = Date.parse('2026-11-21T12:00:00Z');
const chat = routeOf(policy, 'POST', '/agent/chat');
const limitsOf = (
  fields: Partial<TenantRecord> | null,
  plan: string | null = null,
  nowMs = at,
): Record<string, number> => {
  const { limits } = limitsFor(policy, {
    plan,
    record: fields === null ? null : record(fields),
    route: chat,
    nowMs,
  });
  return Object.fromEntries(limits.map(({ name, limit }) => [name, limit]));
};

describe('A3: limits are chosen per request from plan, route and record', () => {
  test('limits depend on the plan, also on a route', () => {
    expect(limitsOf(null)).toEqual({ minute: 5, chat: 10 });
    expect(limitsOf(null, 'pro')).toEqual({ minute: 50, chat: 50 });
  });

  test('the plan of the record has precedence over the claimed plan; an unknown plan becomes the default plan', () => {
    expect(limitsOf({ plan: 'free' }, 'pro')).toEqual({ minute: 5, chat: 10 });
    expect(limitsOf(null, 'platinum')).toEqual({ minute: 5, chat: 10 });
  });

  test('B1: overrides replace values by name', () => {
    expect(limitsOf({ overrides: { minute: 9, chat: 0 } })).toEqual({ minute: 9, chat: 0 });
  });

  test('the same query returns the same array, so that callers can cache derived values', () => {
    const question = { plan: null, record: record({ overrides: { minute: 9 } }), route: chat, nowMs: at };
    expect(limitsFor(policy, question).limits).toBe(
      limitsFor(policy, { ...question, nowMs: at + 5_000 }).limits,
    );
  });
});

describe('B12: boosts raise a limit from their start to their end', () => {
  const boost = {
    id: 'b',
    limit: 'minute',
    starts_at: '2026-11-21T12:00:00Z',
    ends_at: '2026-11-21T13:00:00Z',
    reason: 'launch',
    actor: 'ops',
  };
  const boosted = record({ boosts: [{ ...boost, multiply: 3 }] });
  const minuteAt = (nowMs: number): number | undefined =>
    limitsFor(policy, { plan: null, record: boosted, route: null, nowMs }).limits[0]?.limit;

  test('a boost is in force from its start until just before its end', () => {
    expect([at - 1, at, at + 3_599_999, at + 3_600_000].map(minuteAt)).toEqual([5, 15, 15, 5]);
  });

  test('a boost applies to the override, the largest of several counts, and none lowers a limit', () => {
    expect(limitsOf({ overrides: { minute: 20 }, boosts: [{ ...boost, multiply: 2 }] })).toMatchObject({
      minute: 40,
    });
    expect(
      limitsOf({
        boosts: [
          { ...boost, set_to: 11 },
          { ...boost, multiply: 2 },
        ],
      }),
    ).toMatchObject({ minute: 11 });
    expect(limitsOf({ boosts: [{ ...boost, set_to: 1 }] })).toMatchObject({ minute: 5 });
  });
});

test('C3: a block holds until its end, or without an end', () => {
  const block = { reason: 'abuse', actor: 'ops' };
  expect(isBlocked(record({ block: { ...block, until: null } }), at)).toBe(true);
  expect(isBlocked(record({ block: { ...block, until: '2026-11-21T12:00:01Z' } }), at)).toBe(true);
  expect(isBlocked(record({ block: { ...block, until: '2026-11-21T12:00:00Z' } }), at)).toBe(false);
  expect(isBlocked(null, at)).toBe(false);
});
