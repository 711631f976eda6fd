import { describe, expect, test } from 'vitest';
import { loadPolicy, parsePolicy } from '../../../shared/policy/load.ts';
import { policyOf, policyText, violationsOf } from './text.ts';

const plan = (limit: string): Record<string, string> => ({
  plans: `\n  free:\n    limits:\n      - ${limit}`,
});

const bad: readonly (readonly [string, Record<string, string>, RegExp])[] = [
  [
    'an unknown key',
    { defualt_plan: 'free' },
    /:5:1: defualt_plan: is not a known key \(did you mean "default_plan"\?\)/,
  ],
  [
    'a limit of -1',
    plan('{ name: minute, per: tenant, limit: -1, window: 1m }'),
    /:7:45: plans\.free\.limits\[0\]\.limit: is -1, but must be a whole number of units, 0/,
  ],
  ['a missing section', { default_plan: '' }, /:1:1: default_plan: is missing/],
  ['a key without a value', { plans: '' }, /plans: is missing/],
  [
    'an unknown subject',
    plan('{ name: minute, per: tennant, limit: 1, window: 1m }'),
    /:7:30: .*\.per: is "tennant", but must be whose usage/,
  ],
  [
    'a bad duration',
    plan('{ name: minute, per: tenant, limit: 1, window: 1 minute }'),
    /\.window: is "1 minute", but must be a duration/,
  ],
  [
    'a window that is too short',
    plan('{ name: minute, per: tenant, limit: 1, window: 100ms }'),
    /windows last from 1s/,
  ],
  ['a missing window', plan('{ name: minute, per: tenant, limit: 1 }'), /\.window: is missing/],
  [
    'a quota without a calendar period',
    plan('{ name: day, per: tenant, limit: 1, window: 2d, type: quota }'),
    /"2d" is no calendar period/,
  ],
  [
    'a window for what runs at once',
    plan('{ name: x, per: tenant, limit: 1, window: 1m, type: concurrent }'),
    /is not allowed with type concurrent/,
  ],
  [
    'a burst on a quota',
    plan('{ name: x, per: tenant, limit: 1, window: 1d, type: quota, burst: 1 }'),
    /burst: is allowed with type sliding/,
  ],
  ['a reserved name', plan('{ name: blocked, per: tenant, limit: 1, window: 1m }'), /"blocked" is reserved/],
  [
    'global with others',
    plan('{ name: x, per: [global, ip], limit: 1, window: 1m }'),
    /may not combine global/,
  ],
  [
    'an unknown default plan',
    { default_plan: 'gold' },
    /:3:15: default_plan: "gold" is not one of the plans: free/,
  ],
  [
    'a bad CIDR block',
    { identity: '{ trusted_proxies: [10.0.0.0/99] }' },
    /"10\.0\.0\.0\/99" is not an address or CIDR block/,
  ],
  [
    'a slow-down outside 0 to 1',
    { plans: '{ free: { limits: [], slow_down: { from: 1.5, max_delay: 1s } } }' },
    /slow_down\.from: is 1\.5/,
  ],
  ['a threshold above 1', { alerts: '{ thresholds: [2] }' }, /thresholds\[0\]: is 2/],
  ['a wrong version', { version: '2' }, /version: is 2, but must be 1/],
  ['a pattern without a method', { routes: '[{ match: /x }]' }, /routes\[0\]\.match: "\/x" must be a method/],
  ['a pattern with ** inside', { routes: '[{ match: GET /a/**/b }]' }, /only at its end/],
  [
    'the same pattern twice',
    { routes: '[{ match: GET /a }, { match: GET /a/ }]' },
    /routes\[1\]\.match: .* routes\[0\] again/,
  ],
  [
    'a route limit named as a plan limit',
    { routes: '[{ match: GET /a, limits: [{ name: minute, per: ip, limit: 1, window: 1m }] }]' },
    /is also a limit of plan free/,
  ],
  [
    'a plan the policy has not',
    {
      routes:
        '[{ match: GET /a, limits: [{ name: a, per: ip, limit: 1, by_plan: { gold: 2 }, window: 1m }] }]',
    },
    /by_plan\.gold: "gold" is not one of the plans/,
  ],
  [
    'a platform limit per tenant',
    { platform: '{ limits: [{ name: p, per: tenant, limit: 1, type: concurrent }] }' },
    /must be global/,
  ],
  [
    'a cost of 0',
    { routes: '[{ match: GET /a, cost: 0 }]' },
    /cost: is 0, but must be the units of one call/,
  ],
  [
    'the algorithm none',
    { identity: '{ jwt: { algorithms: [none], secret_env: TOLLGATE_JWT_SECRET } }' },
    /algorithms\[0\]: is "none"/,
  ],
  [
    'public keys with HS256',
    { identity: '{ jwt: { algorithms: [HS256], jwks_url: https://a.example/keys } }' },
    /HS256 needs a shared secret/,
  ],
  [
    'a meter without a value',
    { meters: '[{ name: a, event_type: x, aggregation: sum }]' },
    /:5:10: meters\[0\]\.value: is missing; write the field of the event's data that sum aggregates, or choose count/,
  ],
  [
    'a count of a value',
    { meters: '[{ name: a, event_type: x, aggregation: count, value: tokens }]' },
    /:5:56: meters\[0\]\.value: is not allowed with aggregation count, which counts events; remove it/,
  ],
  [
    'two meters of one name',
    {
      meters:
        '[{ name: a, event_type: x, aggregation: count }, { name: a, event_type: y, aggregation: count }]',
    },
    /:5:66: meters\[1\]\.name: "a" is in the list twice; names of meters are unique/,
  ],
  [
    'an aggregation there is none of',
    { meters: '[{ name: a, event_type: x, aggregation: mean, value: y }]' },
    /:5:49: .*is "mean", but must be sum, count, unique, min, max, average or latest/,
  ],
  [
    'a group with a comma',
    { meters: '[{ name: a, event_type: x, aggregation: count, group_by: ["a,b"] }]' },
    /meters\[0\]\.group_by\[0\]: is "a,b", but must be the name of a field .* without ","/,
  ],
  [
    'a group twice',
    { meters: '[{ name: a, event_type: x, aggregation: count, group_by: [m, m] }]' },
    /group_by: is a list, but must be a list of up to 8 different fields/,
  ],
  [
    'a meter key that is mistyped',
    { meters: '[{ name: a, event_type: x, aggregation: count, groupby: [m] }]' },
    /groupby: is not a known key \(did you mean "group_by"\?\)/,
  ],
  [
    'a meter without a type',
    { meters: '[{ name: a, aggregation: count }]' },
    /event_type: is missing; it must be/,
  ],
  [
    'a pattern that no request may be written as',
    { routes: '[{ match: "GET /a%2Fb" }]' },
    /routes\[0\]\.match: "GET \/a%2Fb" matches no request\. The path holds an escaped slash .* "requests"/,
  ],
  [
    'a pattern with parameters',
    { routes: '[{ match: GET /a;b=c }]' },
    /has a ";"; set requests\.parameters to text/,
  ],
  [
    'patterns that differ in letter case where it does not count',
    { routes: '[{ match: GET /A }, { match: GET /a }]', requests: '{ letter_case: insensitive }' },
    /routes\[1\]\.match: .* routes\[0\] again/,
  ],
  [
    'an unknown way to read requests',
    { requests: '{ encoded_slash: split }' },
    /requests\.encoded_slash: is "split", but must be refuse, or text/,
  ],
  ['a service without a token', { services: '[{ name: a }]' }, /exactly one of token_sha256 and token_env/],
];

describe('an invalid policy is refused with line, column, field and advice', () => {
  test.each(bad)('%s', (_what, parts, message) => {
    expect(violationsOf(parts).join('\n')).toMatch(message);
  });

  test('all violations of a file are reported at once, in the order of the lines', () => {
    const violations = violationsOf({
      ...plan('{ name: a b, per: tenant, limit: -1, window: 1x }'),
      mode: 'off',
    });
    expect(violations.map((line) => line.split(':')[1])).toEqual(['7', '7', '7', '8']);
  });

  test('text that is not YAML is refused with its line', () => {
    expect(() => parsePolicy('p.yaml', 'plans: [', {})).toThrow(/^p\.yaml:1:/);
    expect(() => parsePolicy('p.yaml', '', {})).toThrow(/is empty, but must be a mapping/);
    expect(() => parsePolicy('p.yaml', 'a: 1\na: 2\n', {})).toThrow(/p\.yaml:2:1: /);
  });

  test('aliases that expand exponentially are refused and not expanded', () => {
    const rows = Array.from(
      { length: 9 },
      (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(', ')}]`,
    );
    expect(() => parsePolicy('p.yaml', ['a0: &a0 [x]', ...rows].join('\n'), {})).toThrow(
      /^p\.yaml:1:1: .*alias/,
    );
  });

  test('an alias without an anchor is refused with its line', () => {
    for (const text of ['*!', 'a: *b', '? *a\n: b'])
      expect(() => parsePolicy('p.yaml', text, {}), text).toThrow(/^p\.yaml:1:1: .*alias/);
  });

  test('a missing file is named', async () => {
    await expect(loadPolicy('/nowhere/policy.yaml', {})).rejects.toThrow(
      /\/nowhere\/policy\.yaml: cannot be read/,
    );
  });

  test('a missing or short secret names its variable, never its value', () => {
    const identity = { identity: '{ jwt: { algorithms: [HS256], secret_env: A_SECRET } }' };
    expect(violationsOf(identity, {}).join()).toMatch(/environment variable A_SECRET is not set/);
    const short = violationsOf(identity, { A_SECRET: 'hunter2' }).join();
    expect(short).toMatch(/the secret in A_SECRET has 7 bytes; use 32 or more/);
    expect(short).not.toContain('hunter2');
    expect(parsePolicy('p', policyText(identity), {}, { secrets: 'optional' }).identity.jwt).not.toBeNull();
  });
});

describe('a valid policy is compiled with its defaults', () => {
  test('limits, durations, calendar periods', () => {
    const { plans } = policyOf({
      plans: `
  free:
    limits:
      - { name: a, per: tenant, limit: 1, window: 60s }
      - { name: b, per: [tenant, user], limit: 2, window: 1mo, type: quota, mode: shadow }
      - { name: c, per: ip, limit: 3, window: minute, burst: 4 }
      - { name: d, per: tenant, limit: 5, type: concurrent }
    slow_down: { from: 0.5, max_delay: 500ms }`,
    });
    const free = plans.get('free');
    expect(free?.slowDown).toEqual({ from: 0.5, maxDelayMs: 500 });
    expect(free?.limits).toMatchObject([
      {
        type: 'sliding',
        windowMs: 60_000,
        period: null,
        burst: 0,
        mode: 'enforce',
        per: ['tenant'],
        route: null,
      },
      { type: 'quota', period: 'month', mode: 'shadow', per: ['tenant', 'user'] },
      { windowMs: 60_000, burst: 4, per: ['ip'] },
      { type: 'concurrent', windowMs: 0, period: null },
    ]);
  });

  test('shadow mode of the policy applies to every limit', () => {
    const policy = policyOf({
      mode: 'shadow',
      platform: '{ limits: [{ name: p, per: global, type: concurrent, limit: 1 }] }',
    });
    expect(policy.plans.get('free')?.limits[0]?.mode).toBe('shadow');
    expect(policy.platform[0]?.mode).toBe('shadow');
  });

  test('meters by name, with no value and no groups by default', () => {
    const meters =
      '[{ name: calls, event_type: x, aggregation: count }, { name: tokens, event_type: y, aggregation: sum, value: n, group_by: [m] }]';
    expect([...policyOf({ meters }).meters]).toEqual([
      ['calls', { name: 'calls', eventType: 'x', aggregation: 'count', value: null, groupBy: [] }],
      ['tokens', { name: 'tokens', eventType: 'y', aggregation: 'sum', value: 'n', groupBy: ['m'] }],
    ]);
    expect(policyOf().meters.size).toBe(0);
  });

  test('TOLLGATE_UPSTREAM has precedence over the file', () => {
    const text = policyText({ upstream: 'http://a.example' });
    expect(parsePolicy('p', text, {}).upstream).toBe('http://a.example');
    expect(parsePolicy('p', text, { TOLLGATE_UPSTREAM: 'http://b.example' }).upstream).toBe(
      'http://b.example',
    );
  });

  test('a token from the environment is stored as its digest', () => {
    const { services } = policyOf({ services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]' });
    expect(services[0]?.tokenSha256).toMatch(/^[0-9a-f]{64}$/);
  });
});
