import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { createBed } from './bed.ts';
import type { Bed } from './bed.ts';

let bed: Bed;
beforeAll(async () => {
  bed = await createBed();
});
afterAll(() => bed.dispose());

const dayMs = 86_400_000;
const inAWeek = (): string => new Date(Date.now() + 7 * dayMs).toISOString();

describe('the token', () => {
  const paths = [
    '/admin/v1/tenants',
    '/admin/v1/tenants/a/status',
    '/admin/v1/audit',
    '/admin/v1/no-such-thing',
  ];
  test.each(paths)('%s answers 401 without it, as a problem', async (url) => {
    for (const authorization of [
      undefined,
      'Bearer wrong',
      'Bearer ',
      'Basic YTpi',
      'an-admin-token-of-tests',
    ]) {
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await bed.console.admin.inject({ method: 'GET', url, headers });
      expect(answer.statusCode).toBe(401);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
  });

  test('metrics and health need none, since the listener is private', async () => {
    const metrics = await bed.console.admin.inject('/metrics');
    expect(metrics.statusCode).toBe(200);
    expect(metrics.body).toContain('tollgate_console_requests_total');
    expect((await bed.console.admin.inject('/readyz')).json()).toEqual({ ready: true, waiting_for: [] });
  });
});

describe('records', () => {
  test('a written record is read back, with who wrote it', async () => {
    const id = uniqueName('acme/ü {x}');
    const path = `/admin/v1/tenants/${encodeURIComponent(id)}`;
    const record = {
      plan: 'pro',
      display_name: 'Acme',
      overrides: { minute: 500 },
      notifications: { thresholds: [0.8, 1], emails: ['dev@example.com'] },
      time_zone: 'Europe/Zurich',
    };
    const put = await bed.admin(`PUT ${path}`, record, { 'x-actor': 'robin' });
    expect(put.status).toBe(200);
    const got = await bed.admin(`GET ${path}`);
    expect(got.body['record']).toMatchObject({ ...record, tenant_id: id, updated_by: 'robin' });
    expect(got.body['plan']).toBe('pro');
    expect(got.body['limits']).toContainEqual(
      expect.objectContaining({ name: 'minute', limit: 500, of_policy: 1000, override: 500 }),
    );
  });

  const bad: readonly [string, object, string][] = [
    ['an unknown plan', { plan: 'gold' }, 'no plan “gold”'],
    ['an unknown limit', { overrides: { hourly: 5 } }, 'no limit “hourly”'],
    ['a negative limit', { overrides: { minute: -1 } }, 'minute'],
    ['an unknown field', { colour: 'red' }, '“colour”'],
    ['a threshold above the limit', { notifications: { thresholds: [1.5] } }, '1.5'],
    ['a webhook that is no address', { notifications: { slack: ['not an address'] } }, 'web address'],
    ['an unknown time zone', { time_zone: 'Mars/Olympus' }, 'Mars/Olympus'],
    ['another tenant in the body', { tenant_id: 'somebody' }, 'somebody'],
    ['a key that is no hash', { api_keys_sha256: ['tgk_secret'] }, 'api_keys_sha256'],
  ];
  test.each(bad)('%s is refused, and the answer names it', async (_what, body, named) => {
    const id = uniqueName('bad');
    const answer = await bed.admin(`PUT /admin/v1/tenants/${id}`, body);
    expect([400, 422]).toContain(answer.status);
    expect(answer.body['detail']).toContain(named);
    expect(bed.directory.get(id)).toBeUndefined();
  });

  test('a PUT keeps keys, boosts and history that it does not name', async () => {
    const id = uniqueName('kept');
    await bed.admin(`POST /admin/v1/tenants/${id}/api-keys`);
    await bed.admin(`POST /admin/v1/tenants/${id}/boosts`, {
      limit: 'minute',
      multiply: 2,
      ends_at: inAWeek(),
      reason: 'launch',
    });
    await bed.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'pro' });
    const record = bed.directory.get(id);
    expect(record?.api_keys_sha256).toHaveLength(1);
    expect(record?.boosts).toHaveLength(1);
    expect(record?.history?.map((change) => change.action)).toEqual(['put', 'boost', 'api-key']);
  });

  test('If-Match refuses an edit of what somebody else changed meanwhile', async () => {
    const path = `/admin/v1/tenants/${uniqueName('raced')}`;
    const first = await bed.admin(`PUT ${path}`, { plan: 'free' });
    const etag = String(first.headers['etag']);
    expect((await bed.admin(`PUT ${path}`, { plan: 'pro' }, { 'if-match': etag })).status).toBe(200);
    expect((await bed.admin(`PUT ${path}`, { plan: 'free' }, { 'if-match': etag })).status).toBe(412);
  });

  test('changes of one tenant at once all stay', async () => {
    const id = uniqueName('busy');
    await Promise.all(Array.from({ length: 8 }, () => bed.admin(`POST /admin/v1/tenants/${id}/api-keys`)));
    expect(bed.directory.get(id)?.api_keys_sha256).toHaveLength(8);
  });

  test('a deleted record is gone, and deleting it again is 404', async () => {
    const path = `/admin/v1/tenants/${uniqueName('gone')}`;
    await bed.admin(`PUT ${path}`, { plan: 'free' });
    expect((await bed.admin(`DELETE ${path}`)).status).toBe(204);
    expect((await bed.admin(`GET ${path}`)).status).toBe(404);
    expect((await bed.admin(`DELETE ${path}`)).status).toBe(404);
  });
});

describe('the list', () => {
  test('C5: has tenants that only sent requests, busiest first, and finds by part of a name', async () => {
    const stem = uniqueName('list');
    await storeUsage(
      bed.clickhouse,
      [3, 7].flatMap((count, which) =>
        Array.from({ length: count }, () => ({
          timeMs: Date.now() - 1000,
          tenant: `${stem}-${which}`,
          plan: 'free',
        })),
      ),
    );
    await bed.admin(`PUT /admin/v1/tenants/${stem}-2`, { plan: 'pro', display_name: `Quiet ${stem}` });
    const all = await bed.admin(`GET /admin/v1/tenants?search=${stem}`);
    expect(all.body).toMatchObject({ total: 3, usage_known: true });
    expect(all.body['tenants']).toMatchObject([
      { tenant_id: `${stem}-1`, requests_today: 7, has_record: false, plan: 'free' },
      { tenant_id: `${stem}-0`, requests_today: 3 },
      { tenant_id: `${stem}-2`, requests_today: 0, has_record: true, plan: 'pro' },
    ]);
    const page = await bed.admin(`GET /admin/v1/tenants?search=${stem.toUpperCase()}&offset=1&limit=1`);
    expect(page.body['tenants']).toMatchObject([{ tenant_id: `${stem}-0` }]);
    const pro = await bed.admin(`GET /admin/v1/tenants?search=quiet%20${stem}&plan=pro`);
    expect(pro.body['total']).toBe(1);
  });
});

describe('control', () => {
  test('C3: status says requests this minute and today, resets, and blocked until when', async () => {
    const id = uniqueName('status');
    await bed.spend(id, 40);
    const open = await bed.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(open.body).toMatchObject({
      requests_this_minute: 40,
      requests_today: 40,
      blocked: false,
      blocked_until: null,
    });
    expect(Object.keys(open.body['resets'] as object)).toEqual(['minute', 'day']);
    await bed.spend(id, 60);
    const full = await bed.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(full.body).toMatchObject({ requests_this_minute: 100, blocked: true, blocked_by: ['minute'] });
    const until = Date.parse(String(full.body['blocked_until'])) - Date.now();
    expect(until).toBeGreaterThan(0);
    expect(until).toBeLessThanOrEqual(60_000);
  });

  test('C3: looking at a status takes nothing', async () => {
    const id = uniqueName('peek');
    await bed.spend(id, 1);
    for (let look = 0; look < 3; look += 1) {
      const { body } = await bed.admin(`GET /admin/v1/tenants/${id}/status`);
      expect(body['requests_this_minute']).toBe(1);
    }
  });

  test('C4, A9: a reset empties the counters and records what they had', async () => {
    const id = uniqueName('reset');
    await bed.spend(id, 60);
    const reset = await bed.admin(
      `POST /admin/v1/tenants/${id}/reset`,
      { reason: 'ticket 1' },
      { 'x-actor': 'kim' },
    );
    expect(reset.body['reset']).toMatchObject({ actor: 'kim', day_units: 60, month_units: 0 });
    const { body } = await bed.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ requests_this_minute: 0, blocked: false });
    await bed.spend(id, 5);
    const again = await bed.admin(`POST /admin/v1/tenants/${id}/reset`);
    expect(again.body['reset'], 'what the first reset took out counts too').toMatchObject({ day_units: 65 });
  });

  test('C4: the reset of all needs its words, and empties everybody', async () => {
    const id = uniqueName('all');
    await bed.spend(id, 30);
    await storeUsage(bed.clickhouse, [{ timeMs: Date.now() - 1000, tenant: id, units: 30 }]);
    expect((await bed.admin('POST /admin/v1/reset', {})).status).toBe(400);
    expect((await bed.admin('POST /admin/v1/reset', { confirm: 'yes' })).status).toBe(400);
    const done = await bed.admin('POST /admin/v1/reset', { confirm: 'reset all tenants' });
    expect(done.status).toBe(200);
    expect(bed.directory.get(id)?.reset?.day_units).toBe(30);
    const { body } = await bed.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body['requests_this_minute']).toBe(0);
  });

  test('C3: a block holds until its time, or until it is lifted', async () => {
    const id = uniqueName('block');
    const until = new Date(Date.now() + 3_600_000).toISOString();
    expect((await bed.admin(`POST /admin/v1/tenants/${id}/block`, { until, reason: 'abuse' })).status).toBe(
      200,
    );
    const { body } = await bed.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ blocked: true, blocked_by: ['operator'], blocked_until: until });
    expect((await bed.admin(`DELETE /admin/v1/tenants/${id}/block`)).status).toBe(204);
    expect((await bed.admin(`GET /admin/v1/tenants/${id}/status`)).body['blocked']).toBe(false);
    expect((await bed.admin(`DELETE /admin/v1/tenants/${id}/block`)).status).toBe(404);
    const past = await bed.admin(`POST /admin/v1/tenants/${id}/block`, {
      until: '2020-01-01T00:00:00Z',
      reason: 'x',
    });
    expect(past.status).toBe(422);
  });

  test('B12: a boost raises the limit now, names who and why, and ends when it is told to', async () => {
    const id = uniqueName('boost');
    const made = await bed.admin(
      `POST /admin/v1/tenants/${id}/boosts`,
      { limit: 'minute', multiply: 3, ends_at: inAWeek(), reason: 'launch week' },
      { 'x-actor': 'robin' },
    );
    expect(made.status).toBe(201);
    const limitNow = async (): Promise<unknown> =>
      ((await bed.admin(`GET /admin/v1/tenants/${id}/status`)).body['limits'] as { limit: number }[])[0]
        ?.limit;
    expect(await limitNow()).toBe(300);
    const listed = await bed.admin(`GET /admin/v1/tenants/${id}/boosts`);
    expect(listed.body['boosts']).toMatchObject([
      { phase: 'running', actor: 'robin', reason: 'launch week' },
    ]);
    const path = `/admin/v1/tenants/${id}/boosts/${String(made.body['id'])}`;
    expect((await bed.admin(`DELETE ${path}`)).status).toBe(204);
    expect(await limitNow()).toBe(100);
    expect((await bed.admin(`DELETE ${path}`)).status).toBe(404);
    const audit = await bed.admin(`GET /admin/v1/audit?tenant_id=${id}`);
    expect(audit.body['changes']).toMatchObject([
      { action: 'boost-end' },
      { action: 'boost', actor: 'robin' },
    ]);
  });

  const badBoosts: readonly [string, object][] = [
    ['both sizes', { limit: 'minute', multiply: 2, set_to: 5, reason: 'x' }],
    ['no size', { limit: 'minute', reason: 'x' }],
    ['no reason', { limit: 'minute', multiply: 2 }],
    ['an unknown limit', { limit: 'nope', multiply: 2, reason: 'x' }],
    ['an end in the past', { limit: 'minute', multiply: 2, ends_at: '2020-01-01T00:00:00Z', reason: 'x' }],
    ['no time', { limit: 'minute', multiply: 2, ends_at: 'soon', reason: 'x' }],
  ];
  test.each(badBoosts)('B12: a boost with %s is refused', async (_what, body) => {
    const id = uniqueName('bad-boost');
    const answer = await bed.admin(`POST /admin/v1/tenants/${id}/boosts`, { ends_at: inAWeek(), ...body });
    expect([400, 422]).toContain(answer.status);
    expect(bed.directory.get(id)).toBeUndefined();
  });

  test('an API key is shown once, works by its hash, and is deleted by the first digits of it', async () => {
    const id = uniqueName('keys');
    const made = await bed.admin(`POST /admin/v1/tenants/${id}/api-keys`);
    expect(made.body['api_key']).toMatch(/^tgk_[\w-]{32}$/);
    const sha256 = String(made.body['sha256']);
    expect(bed.directory.byApiKeyHash(sha256)?.tenant_id).toBe(id);
    expect(JSON.stringify(bed.directory.get(id))).not.toContain(made.body['api_key']);
    const path = `/admin/v1/tenants/${id}/api-keys`;
    expect((await bed.admin(`DELETE ${path}/${sha256.slice(0, 4)}`)).status).toBe(422);
    expect((await bed.admin(`DELETE ${path}/${sha256.slice(0, 10)}`)).status).toBe(204);
    expect(bed.directory.byApiKeyHash(sha256)).toBeUndefined();
  });

  test('a portal link names its end, and a link longer than 30 days is refused', async () => {
    const made = await bed.admin('POST /admin/v1/portal-links', { tenant_id: 'acme', ttl: '15m' });
    expect(made.status).toBe(201);
    expect(made.body['url']).toMatch(/^http:\/\/console\.test\/sign-in\?token=/);
    const leftMs = Date.parse(String(made.body['expires_at'])) - Date.now();
    expect(Math.round(leftMs / 60_000)).toBe(15);
    expect((await bed.admin('POST /admin/v1/portal-links', { tenant_id: 'acme', ttl: '31d' })).status).toBe(
      422,
    );
  });

  test('OpenAPI describes every endpoint of a tenant', async () => {
    const { body } = await bed.admin('GET /admin/openapi.json');
    const paths = Object.keys(body['paths'] as object);
    for (const path of ['', '/status', '/reset', '/block', '/boosts', '/api-keys'])
      expect(paths).toContain(`/admin/v1/tenants/{id}${path}`);
  });
});
