import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { runCli } from '../../../services/cli/cli.ts';
import type { LimitRequest } from '../../../shared/domain/tenant.ts';
import { adminToken, createFixture } from '../console/fixture.ts';
import type { Answer } from '../console/call-admin.ts';
import type { Fixture, FixtureOptions } from '../console/fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const dayMs = 86_400_000;
interface Ran {
  readonly code: number;
  readonly text: string;
}

/** Runs a command of `tollgate` in this process. */
async function runCommand(adminUrl: string, args: readonly string[]): Promise<Ran> {
  const texts: string[] = [];
  const unused = (): never => {
    throw new Error('the command needs no such server');
  };
  const code = await runCli({
    args,
    installation: () => Promise.resolve({ adminUrl, adminToken }),
    ...{ kafka: unused, clickhouse: unused, actor: 'kim', nowMs: Date.now(), version: '0' },
    out: (text) => texts.push(text),
    err: (text) => texts.push(text),
  });
  return { code, text: texts.join('\n') };
}

const inAWeek = (): string => new Date(Date.now() + 7 * dayMs).toISOString();

describe('control', () => {
  test('C3: the status has requests this minute and today, resets, and the end of a block', async () => {
    const id = uniqueName('status');
    await fixture.spend(id, 40);
    const open = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(open.body).toMatchObject({
      requests_this_minute: 40,
      requests_today: 40,
      blocked: false,
      blocked_until: null,
    });
    expect(Object.keys(open.body['resets'] as object)).toEqual(['minute', 'day']);
    await fixture.spend(id, 60);
    const full = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(full.body).toMatchObject({ requests_this_minute: 100, blocked: true, blocked_by: ['minute'] });
    const until = Date.parse(String(full.body['blocked_until'])) - Date.now();
    expect(until).toBeGreaterThan(0);
    expect(until).toBeLessThanOrEqual(60_000);
  });

  test('C3: reading a status consumes nothing', async () => {
    const id = uniqueName('peek');
    await fixture.spend(id, 1);
    for (let look = 0; look < 3; look += 1) {
      const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
      expect(body['requests_this_minute']).toBe(1);
    }
  });

  test('C4, A9: a reset empties the counters and records their units', async () => {
    const id = uniqueName('reset');
    await fixture.spend(id, 60);
    const reset = await fixture.admin(
      `POST /admin/v1/tenants/${id}/reset`,
      { reason: 'ticket 1' },
      { 'x-actor': 'kim' },
    );
    expect(reset.body['reset']).toMatchObject({ actor: 'kim', day_units: 60, month_units: 0 });
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ requests_this_minute: 0, blocked: false });
    await fixture.spend(id, 5);
    const again = await fixture.admin(`POST /admin/v1/tenants/${id}/reset`);
    expect(again.body['reset'], 'what the first reset took out counts too').toMatchObject({ day_units: 65 });
  });

  test('C4: the emergency reset needs its confirmation and empties the counters of all tenants', async () => {
    const id = uniqueName('all');
    await fixture.spend(id, 30);
    await storeUsage(fixture.clickhouse, [{ timeMs: Date.now() - 1000, tenant: id, units: 30 }]);
    expect((await fixture.admin('POST /admin/v1/reset', {})).status).toBe(400);
    expect((await fixture.admin('POST /admin/v1/reset', { confirm: 'yes' })).status).toBe(400);
    const done = await fixture.admin('POST /admin/v1/reset', { confirm: 'reset all tenants' });
    expect(done.status).toBe(200);
    expect(fixture.directory.get(id)?.reset?.day_units).toBe(30);
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body['requests_this_minute']).toBe(0);
  });

  test.for<[string, FixtureOptions, string]>([
    ['while tenant records cannot be changed', { recordBrokers: '127.0.0.1:1' }, 'nothing can be changed'],
    ['while Redis is away', { redisUrl: 'redis://127.0.0.1:1' }, 'nothing was reset'],
  ])('C4: the reset of all refuses %s, and changes nothing', async ([, broken, why]) => {
    const id = uniqueName('kept');
    await fixture.spend(id, 30);
    await storeUsage(fixture.clickhouse, [{ timeMs: Date.now() - 1000, tenant: id, units: 30 }]);
    const other = await createFixture({ ...broken, namespace: fixture.namespace });
    try {
      const refused = await other.admin('POST /admin/v1/reset', { confirm: 'reset all tenants' });
      expect(refused.status).toBe(503);
      expect(refused.body['detail']).toContain(why);
    } finally {
      await other.dispose();
    }
    expect(fixture.directory.get(id)?.reset).toBeUndefined();
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body['requests_this_minute']).toBe(30);
  });

  test('C3: a block holds until its time or until it is lifted', async () => {
    const id = uniqueName('block');
    const until = new Date(Date.now() + 3_600_000).toISOString();
    expect(
      (await fixture.admin(`POST /admin/v1/tenants/${id}/block`, { until, reason: 'abuse' })).status,
    ).toBe(200);
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ blocked: true, blocked_by: ['operator'], blocked_until: until });
    expect((await fixture.admin(`DELETE /admin/v1/tenants/${id}/block`)).status).toBe(204);
    expect((await fixture.admin(`GET /admin/v1/tenants/${id}/status`)).body['blocked']).toBe(false);
    expect((await fixture.admin(`DELETE /admin/v1/tenants/${id}/block`)).status).toBe(404);
    const past = await fixture.admin(`POST /admin/v1/tenants/${id}/block`, {
      until: '2020-01-01T00:00:00Z',
      reason: 'x',
    });
    expect(past.status).toBe(422);
  });

  test('B12: a boost raises the limit now, has its actor and reason, and can be ended early', async () => {
    const id = uniqueName('boost');
    const made = await fixture.admin(
      `POST /admin/v1/tenants/${id}/boosts`,
      { limit: 'minute', multiply: 3, ends_at: inAWeek(), reason: 'launch week' },
      { 'x-actor': 'robin' },
    );
    expect(made.status).toBe(201);
    const limitNow = async (): Promise<unknown> =>
      ((await fixture.admin(`GET /admin/v1/tenants/${id}/status`)).body['limits'] as { limit: number }[])[0]
        ?.limit;
    expect(await limitNow()).toBe(300);
    const listed = await fixture.admin(`GET /admin/v1/tenants/${id}/boosts`);
    expect(listed.body['boosts']).toMatchObject([
      { phase: 'running', actor: 'robin', reason: 'launch week' },
    ]);
    const path = `/admin/v1/tenants/${id}/boosts/${String(made.body['id'])}`;
    expect((await fixture.admin(`DELETE ${path}`)).status).toBe(204);
    expect(await limitNow()).toBe(100);
    expect((await fixture.admin(`DELETE ${path}`)).status).toBe(404);
    const audit = await fixture.admin(`GET /admin/v1/audit?tenant_id=${id}`);
    expect(audit.body['changes']).toMatchObject([
      { action: 'boost-end' },
      { action: 'boost', actor: 'robin' },
    ]);
  });

  test('B12: a request for a higher limit is listed, approved with another value, and answered once', async () => {
    const id = uniqueName('request');
    const request = {
      id: uniqueName('r'),
      limit: 'minute',
      wanted: 500,
      for_seconds: 3600,
      state: 'open' as const,
    };
    const now = new Date().toISOString();
    await fixture.directory.put({
      ...{ tenant_id: id, plan: 'free', updated_at: now, updated_by: 'test' },
      limit_requests: [{ ...request, reason: 'launch', created_at: now }],
    });
    const list = async (state: string): Promise<Answer> =>
      fixture.admin(`GET /admin/v1/requests?state=${state}&tenant_id=${id}`);
    expect((await list('open')).body).toMatchObject({ requests: [{ tenant_id: id, request }], more: false });
    const path = `/admin/v1/tenants/${id}/requests/${request.id}`;
    expect((await fixture.admin(`POST ${path}/approve`, { set_to: 50 })).status).toBe(422);
    const approval = { set_to: 300, answer: 'Good luck' };
    const approved = await fixture.admin(`POST ${path}/approve`, approval, { 'x-actor': 'robin' });
    expect(approved).toMatchObject({
      status: 200,
      body: { state: 'approved', granted: 300, answer: 'Good luck', closed_by: 'robin' },
    });
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ limits: [{ name: 'minute', limit: 300 }, {}], boosts: [{ set_to: 300 }] });
    expect((await fixture.admin(`POST ${path}/decline`, { answer: 'No' })).status).toBe(409);
    expect((await list('open')).body).toMatchObject({ requests: [] });
    expect((await list('approved')).body).toMatchObject({ requests: [{ tenant_id: id }] });
    const audit = await fixture.admin(`GET /admin/v1/audit?tenant_id=${id}`);
    expect(audit.body['changes']).toMatchObject([{ action: 'limit-request-approve', actor: 'robin' }]);
  });

  test('the command line lists requests, approves one with another duration, and declines one', async () => {
    const id = uniqueName('cli-requests');
    const now = new Date().toISOString();
    const request = (limit: string, wanted: number): LimitRequest => ({
      ...{ id: `${id}-${limit}`, limit, wanted, for_seconds: 86_400, reason: 'launch' },
      ...{ state: 'open', created_at: now },
    });
    await fixture.directory.put({
      ...{ tenant_id: id, plan: 'free', updated_at: now, updated_by: 'test' },
      limit_requests: [request('minute', 500), request('day', 9000)],
    });
    const adminUrl = await fixture.adminApp.listen({ host: '127.0.0.1', port: 0 });
    const tollgate = (...args: string[]): Promise<Ran> => runCommand(adminUrl, args);
    const listed = await tollgate('requests', 'list', '--tenant', id);
    expect(listed.text).toMatch(new RegExp(`open .*${id} +minute +unknown +500 +1d +${id}-minute +launch`));
    const approve = ['requests', 'approve', id, `${id}-minute`];
    expect((await tollgate(...approve, '--for', '7d', '--permanent')).code).toBe(2);
    const approved = await tollgate(...approve, '--set', '400', '--for', '7d', '--answer', 'Good luck');
    expect(approved).toMatchObject({ code: 0, text: expect.stringContaining('is 400 until') as string });
    const decline = await tollgate('requests', 'decline', id, `${id}-day`, '--answer', 'Try pro');
    expect(decline.code).toBe(0);
    expect(fixture.directory.get(id)).toMatchObject({
      boosts: [{ set_to: 400, actor: 'kim' }],
      limit_requests: [
        { state: 'approved', granted: 400 },
        { state: 'declined', answer: 'Try pro' },
      ],
    });
    expect((await tollgate('requests', 'list', '--tenant', id)).text).toBe('None.');
    expect(await tollgate(...approve)).toMatchObject({
      code: 1,
      text: expect.stringContaining('Already answered') as string,
    });
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
    const answer = await fixture.admin(`POST /admin/v1/tenants/${id}/boosts`, {
      ends_at: inAWeek(),
      ...body,
    });
    expect([400, 422]).toContain(answer.status);
    expect(fixture.directory.get(id)).toBeUndefined();
  });

  test('an API key is shown once, is found by its hash, and is deleted by the first digits of the hash', async () => {
    const id = uniqueName('keys');
    const made = await fixture.admin(`POST /admin/v1/tenants/${id}/api-keys`);
    expect(made.body['api_key']).toMatch(/^tgk_[\w-]{32}$/);
    const sha256 = String(made.body['sha256']);
    expect(fixture.directory.byApiKeyHash(sha256)?.record.tenant_id).toBe(id);
    expect(JSON.stringify(fixture.directory.get(id))).not.toContain(made.body['api_key']);
    const path = `/admin/v1/tenants/${id}/api-keys`;
    expect((await fixture.admin(`DELETE ${path}/${sha256.slice(0, 4)}`)).status).toBe(422);
    expect((await fixture.admin(`DELETE ${path}/${sha256.slice(0, 10)}`)).status).toBe(204);
    expect(fixture.directory.byApiKeyHash(sha256)).toBeUndefined();
  });

  test('a portal link has its end, and a link of more than 30 days is refused', async () => {
    const made = await fixture.admin('POST /admin/v1/portal-links', { tenant_id: 'acme', ttl: '15m' });
    expect(made.status).toBe(201);
    expect(made.body['url']).toMatch(/^http:\/\/console\.test\/sign-in\?token=/);
    const leftMs = Date.parse(String(made.body['expires_at'])) - Date.now();
    expect(Math.round(leftMs / 60_000)).toBe(15);
    expect(
      (await fixture.admin('POST /admin/v1/portal-links', { tenant_id: 'acme', ttl: '31d' })).status,
    ).toBe(422);
  });

  test('OpenAPI describes every endpoint of a tenant', async () => {
    const { body } = await fixture.admin('GET /admin/openapi.json');
    const paths = Object.keys(body['paths'] as object);
    for (const path of ['', '/status', '/reset', '/block', '/boosts', '/api-keys'])
      expect(paths).toContain(`/admin/v1/tenants/{id}${path}`);
  });
});
