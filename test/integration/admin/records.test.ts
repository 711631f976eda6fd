import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { adminToken, createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const dayMs = 86_400_000;
const inAWeek = (): string => new Date(Date.now() + 7 * dayMs).toISOString();

describe('the token', () => {
  const paths = [
    '/admin/v1/tenants',
    '/admin/v1/tenants/a/status',
    '/admin/v1/audit',
    '/admin/v1/no-such-thing',
  ];
  test.each(paths)('%s answers 401 without the token, as a problem', async (url) => {
    for (const authorization of [undefined, 'Bearer wrong', 'Bearer ', 'Basic YTpi', adminToken]) {
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await fixture.adminApp.inject({ method: 'GET', url, headers });
      expect(answer.statusCode).toBe(401);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
  });

  test('metrics and health need no token, since the listener is private', async () => {
    const metrics = await fixture.adminApp.inject('/metrics');
    expect(metrics.statusCode).toBe(200);
    expect(metrics.body).toContain('tollgate_listener_requests_total');
    expect((await fixture.adminApp.inject('/readyz')).json()).toEqual({ ready: true, waiting_for: [] });
  });
});

describe('a repeated member of a body', () => {
  test.each([
    ['in the record', '{"plan":"pro","plan":"free"}', 'plan'],
    ['written another way', '{"plan":"pro","pl\\u0061n":"free"}', 'plan'],
    ['deeper', '{"overrides":{"minute":1,"day":2,"minute":3}}', 'minute'],
  ])('%s is refused and named: programs differ in which one they take', async (_where, payload, name) => {
    for (const method of ['PUT', 'PATCH'] as const) {
      const answer = await fixture.adminApp.inject({
        method,
        url: `/admin/v1/tenants/${uniqueName('twice')}`,
        headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
        payload,
      });
      expect([answer.statusCode, answer.body]).toEqual([
        400,
        expect.stringContaining(`The body has the member \\"${name}\\" twice`),
      ]);
    }
  });
});

describe('tenant ids', () => {
  const wrong: readonly [string, RegExp][] = [
    ['anonymous', /reserved/],
    ['tollgate-heartbeat', /reserved/],
    [' acme', /white space/],
    ['a\nb', /control characters/],
    ['cafe\u0301', /NFC/],
    ['x'.repeat(257), /./],
  ];
  test.each(wrong)(
    '%j gets no record, key, block, boost or link: no token could name it',
    async (id, why) => {
      const path = `/admin/v1/tenants/${encodeURIComponent(id)}`;
      const boost = { limit: 'minute', multiply: 2, ends_at: inAWeek(), reason: 'x' };
      for (const [what, body] of [
        [`PUT ${path}`, { plan: 'pro' }],
        [`POST ${path}/api-keys`, undefined],
        [`POST ${path}/block`, { reason: 'x' }],
        [`POST ${path}/boosts`, boost],
        ['POST /admin/v1/portal-links', { tenant_id: id }],
      ] as const) {
        const answer = await fixture.admin(what, body);
        expect([400, 422]).toContain(answer.status);
        expect(String(answer.body['detail'])).toMatch(why);
      }
      expect(fixture.directory.get(id)).toBeUndefined();
    },
  );
});
describe('records', () => {
  test('a written record is read back with its writer', async () => {
    const id = uniqueName('acme/ü {x}');
    const path = `/admin/v1/tenants/${encodeURIComponent(id)}`;
    const record = {
      plan: 'pro',
      display_name: 'Acme',
      overrides: { minute: 500 },
      notifications: { thresholds: [0.8, 1], emails: ['dev@example.com'] },
      time_zone: 'Europe/Zurich',
    };
    const put = await fixture.admin(`PUT ${path}`, record, { 'x-actor': 'robin' });
    expect(put.status).toBe(200);
    const got = await fixture.admin(`GET ${path}`);
    expect(got.body['record']).toMatchObject({ ...record, tenant_id: id, updated_by: 'robin' });
    expect(got.body['plan']).toBe('pro');
    expect(got.body['limits']).toContainEqual(
      expect.objectContaining({ name: 'minute', limit: 500, of_policy: 1000, override: 500 }),
    );
    expect(got.body['limits']).toContainEqual(
      expect.objectContaining({ name: 'platform-tenant', type: 'concurrent', window_seconds: 0 }),
    );
  });

  test.each([
    'Asia/Kolkata',
    'Asia/Calcutta',
    'US/Pacific',
    'Europe/Kyiv',
    'America/Argentina/Buenos_Aires',
    'Etc/GMT+5',
    'UTC',
  ])('the time zone %s is taken: every name and link of the IANA database is one', async (zone) => {
    const path = `/admin/v1/tenants/${uniqueName('zoned')}`;
    expect((await fixture.admin(`PUT ${path}`, { time_zone: zone })).status).toBe(200);
    expect((await fixture.admin(`GET ${path}`)).body['record']).toMatchObject({ time_zone: zone });
  });

  const blocked = { reason: 'abuse', actor: 'kim' };
  const boosted = { id: 'b', limit: 'minute', multiply: 2, reason: 'launch', actor: 'kim' };
  const bad: readonly [string, object, string][] = [
    ['an unknown plan', { plan: 'gold' }, 'no plan “gold”'],
    ['an unknown limit', { overrides: { hourly: 5 } }, 'no limit “hourly”'],
    ['a negative limit', { overrides: { minute: -1 } }, 'minute'],
    ['an unknown field', { colour: 'red' }, '“colour”'],
    ['a threshold above the limit', { notifications: { thresholds: [1.5] } }, '1.5'],
    ['a webhook that is no address', { notifications: { slack: ['not an address'] } }, 'web address'],
    ['an unknown time zone', { time_zone: 'Mars/Olympus' }, 'Mars/Olympus'],
    ['an offset as time zone', { time_zone: '+05:30' }, '+05:30'],
    [
      'a block until a day that does not exist',
      { block: { ...blocked, until: '2026-02-30T10:00:00Z' } },
      'until',
    ],
    [
      'a block until a time without its zone',
      { block: { ...blocked, until: '2027-02-20 10:00:00Z' } },
      'until',
    ],
    [
      'a boost that ends at hour 24',
      { boosts: [{ ...boosted, ends_at: '2027-02-20T24:00:00Z' }] },
      'ends_at',
    ],
    [
      'a boost that starts in the year 0',
      { boosts: [{ ...boosted, starts_at: '0000-01-01T00:00:00Z' }] },
      'starts_at',
    ],
    ['another tenant in the body', { tenant_id: 'globex' }, 'globex'],
    ['a key that is no hash', { api_keys_sha256: ['tgk_secret'] }, 'api_keys_sha256'],
  ];
  test.each(bad)('%s is refused, and the answer names the field', async (_what, body, named) => {
    const id = uniqueName('bad');
    const answer = await fixture.admin(`PUT /admin/v1/tenants/${id}`, body);
    expect([400, 422]).toContain(answer.status);
    expect(answer.body['detail']).toContain(named);
    expect(fixture.directory.get(id)).toBeUndefined();
  });

  test('a PUT keeps keys, boosts and history that it does not name', async () => {
    const id = uniqueName('kept');
    await fixture.admin(`POST /admin/v1/tenants/${id}/api-keys`);
    await fixture.admin(`POST /admin/v1/tenants/${id}/boosts`, {
      limit: 'minute',
      multiply: 2,
      ends_at: inAWeek(),
      reason: 'launch',
    });
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'pro' });
    const record = fixture.directory.get(id);
    expect(record?.api_keys_sha256).toHaveLength(1);
    expect(record?.boosts).toHaveLength(1);
    expect(record?.history?.map((change) => change.action)).toEqual(['put', 'boost', 'api-key']);
  });

  test('If-Match refuses to overwrite a change made meanwhile', async () => {
    const path = `/admin/v1/tenants/${uniqueName('raced')}`;
    const first = await fixture.admin(`PUT ${path}`, { plan: 'free' });
    const etag = String(first.headers['etag']);
    expect((await fixture.admin(`PUT ${path}`, { plan: 'pro' }, { 'if-match': etag })).status).toBe(200);
    expect((await fixture.admin(`PUT ${path}`, { plan: 'free' }, { 'if-match': etag })).status).toBe(412);
  });

  test('concurrent changes of one tenant are all stored', async () => {
    const id = uniqueName('busy');
    await Promise.all(
      Array.from({ length: 8 }, () => fixture.admin(`POST /admin/v1/tenants/${id}/api-keys`)),
    );
    expect(fixture.directory.get(id)?.api_keys_sha256).toHaveLength(8);
  });

  test('a DELETE without a body may name a content type', async () => {
    const path = `/admin/v1/tenants/${uniqueName('gone')}`;
    await fixture.admin(`PUT ${path}`, { plan: 'free' });
    const type = { 'content-type': 'application/json' };
    expect((await fixture.admin(`DELETE ${path}`, undefined, type)).status).toBe(204);
  });

  test('a deleted record is gone, and deleting it again is 404', async () => {
    const path = `/admin/v1/tenants/${uniqueName('gone')}`;
    await fixture.admin(`PUT ${path}`, { plan: 'free' });
    expect((await fixture.admin(`DELETE ${path}`)).status).toBe(204);
    expect((await fixture.admin(`GET ${path}`)).status).toBe(404);
    expect((await fixture.admin(`DELETE ${path}`)).status).toBe(404);
  });
});

describe('the list', () => {
  test('C5: lists tenants that only sent requests, busiest first, and searches by a part of the name', async () => {
    const stem = uniqueName('list');
    await storeUsage(
      fixture.clickhouse,
      [3, 7].flatMap((count, which) =>
        Array.from({ length: count }, () => ({
          timeMs: Date.now() - 1000,
          tenant: `${stem}-${which}`,
          plan: 'free',
        })),
      ),
    );
    await fixture.admin(`PUT /admin/v1/tenants/${stem}-2`, { plan: 'pro', display_name: `Quiet ${stem}` });
    const all = await fixture.admin(`GET /admin/v1/tenants?search=${stem}`);
    expect(all.body).toMatchObject({ total: 3, usage_known: true });
    expect(all.body['tenants']).toMatchObject([
      { tenant_id: `${stem}-1`, requests_today: 7, has_record: false, plan: 'free' },
      { tenant_id: `${stem}-0`, requests_today: 3 },
      { tenant_id: `${stem}-2`, requests_today: 0, has_record: true, plan: 'pro' },
    ]);
    const page = await fixture.admin(`GET /admin/v1/tenants?search=${stem.toUpperCase()}&offset=1&limit=1`);
    expect(page.body['tenants']).toMatchObject([{ tenant_id: `${stem}-0` }]);
    const pro = await fixture.admin(`GET /admin/v1/tenants?search=quiet%20${stem}&plan=pro`);
    expect(pro.body['total']).toBe(1);
  });
});
