// Goal: an application that serves checked requests can report their outcomes, but only for its own decisions.
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeChunk } from '../../../../services/aggregator/events/event-chunk.ts';
import { createEventStore } from '../../../../services/aggregator/events/event-store.ts';
import { decode, decodeBoundsDefault } from '../../../../services/aggregator/events/decode.ts';
import { createClickHouse } from '../../../../shared/clickhouse/client.ts';
import type { ClickHouse, ClickHouseReader } from '../../../../shared/clickhouse/client.ts';
import { requestsByIds } from '../../../../shared/clickhouse/queries/requests-by-ids.ts';
import { amendEventType } from '../../../../shared/domain/events/correction.ts';
import { systemClock } from '../../../../shared/runtime/time/clock.ts';
import { servers } from '../../../support/servers.ts';
import { requestEvent } from '../../aggregator/events.ts';
import { service, useApi } from '../api.ts';
import { as, limitHeadersOf } from '../gateway.ts';

const api = useApi();
const chat = { method: 'GET', path: '/agent/list' };
const outcome = { status: 503, latency_ms: 250.5 };
let clickhouse: ClickHouse;
beforeAll(() => {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: api.database });
});
afterAll(() => clickhouse.close());

const amends = () => api.gateway.events.filter(({ type }) => type === amendEventType);
const report = (headers: Record<string, string>, id: string, body: object = outcome) =>
  api.call('POST', `/v1/decisions/${id}/outcome`, headers, body);

async function checked(headers: Record<string, string>, body: object = {}): Promise<string> {
  const { json } = await api.check(headers, { ...chat, ...body });
  return json['decision_id'] as string;
}

/** Stores the event of another node's decision, as an aggregator does. */
async function stored(tenant: string, data: object = {}): Promise<string> {
  const event = requestEvent(tenant, { data: { entrypoint: 'check', ...data } });
  const record = {
    partition: 0,
    offset: 0,
    value: Buffer.from(JSON.stringify(event)),
    headers: {},
    timestampMs: 0,
  };
  const decoded = decode(record, Date.now(), decodeBoundsDefault);
  if (decoded.kind !== 'request') throw new Error('not a request');
  const chunk = encodeChunk([decoded.event], Date.now());
  await createEventStore(clickhouse, systemClock).insert([chunk]);
  return event.id;
}

describe('POST /v1/decisions/{id}/outcome', () => {
  test('A5: the outcome follows the event of the decision through the spool, and the response has the limit headers', async () => {
    const id = await checked(service, { tenant_id: api.tenant, user: 'u1' });
    const answer = await report(service, id);
    expect([answer.status, answer.json]).toEqual([202, { decision_id: id, status: 'accepted' }]);
    expect(limitHeadersOf(answer.response).limit).toBeGreaterThanOrEqual(0);
    const [request, amend] = api.gateway.events;
    expect(request).toMatchObject({ id, subject: api.tenant });
    expect(amend).toMatchObject({
      type: amendEventType,
      subject: api.tenant,
      data: { event_id: id, event_time: request?.time, ...outcome },
    });
  });

  test('the same outcome again changes nothing, and a different one replaces it', async () => {
    const own = await as(api.tenant);
    const id = await checked(own);
    for (let i = 0; i < 3; i += 1) expect((await report(own, id.toUpperCase())).status).toBe(202);
    expect(amends()).toHaveLength(1);
    expect((await report(own, id, { status: 200, latency_ms: 3 })).status).toBe(202);
    expect(amends().map(({ data }) => (data as { status: number }).status)).toEqual([503, 200]);
  });

  test('C2: a decision of another tenant, of another user, or of a request that Tollgate served is a 404 like an unknown one', async () => {
    const [otherTenants, otherTenantsStored] = [
      await checked(await as(`${api.tenant}-other`)),
      await stored('other'),
    ];
    const ofOtherUser = await checked(await as(api.tenant, { sub: 'u2' }));
    const proxied = await stored(api.tenant, { entrypoint: 'proxy' });
    const own = await as(api.tenant);
    const ids = [v7(), otherTenants, otherTenantsStored, ofOtherUser, proxied, 'none', '%00'];
    const answers = await Promise.all(ids.map((id) => report(own, id)));
    expect(answers.map(({ status }) => status)).toEqual(ids.map(() => 404));
    expect(new Set(answers.map(({ json }) => JSON.stringify(json))).size).toBe(1);
    expect(amends()).toHaveLength(0);
  });

  test('a decision of another node is found as soon as it is stored', async () => {
    const id = await stored(api.tenant, { user_id: 'u1' });
    expect((await report(await as(api.tenant), id)).status).toBe(202);
    expect((await report(service, await stored(api.tenant))).status).toBe(202);
    expect(amends().map(({ subject }) => subject)).toEqual([api.tenant, api.tenant]);
  });

  test('an unreadable request has no outcome, because only a sample of them has events', async () => {
    const id = await checked(service, { tenant_id: api.tenant, path: '/a/%2e%2e/%2f' });
    expect((await report(service, id)).status).toBe(404);
    expect(amends()).toHaveLength(0);
  });

  test('outcomes are accepted for a day', async () => {
    const answer = await report(service, v7({ msecs: Date.now() - 25 * 3_600_000 }));
    expect([answer.status, answer.json['detail']]).toEqual([400, expect.stringContaining('24 hours')]);
  });

  test.each([
    ['no status', { latency_ms: 1 }, /status/],
    ['a status that is none', { status: 600, latency_ms: 1 }, /status must be <= 599/],
    ['a status as text', { status: '200', latency_ms: 1 }, /status must be integer/],
    ['a negative latency', { status: 200, latency_ms: -1 }, /latency_ms must be >= 0/],
    ['a latency of more than a year', { status: 200, latency_ms: 1e12 }, /latency_ms must be <= /],
    ['an unknown field', { ...outcome, units: 5 }, /must not have "units"/],
  ])('%s is refused and named', async (_name, body, message) => {
    const id = await checked(service, { tenant_id: api.tenant });
    const answer = await report(service, id, body);
    expect([answer.status, answer.json['detail']]).toEqual([400, expect.stringMatching(message)]);
    expect(amends()).toHaveLength(0);
  });
});

describe('F3: an outcome with a status that is not charged', () => {
  const charge = 'charge: { unless_status: [5xx] }';
  const plans = `{ free: { limits: [{ name: day, per: tenant, limit: 10, window: 1d, type: quota }], ${charge} } }`;
  const used = async (): Promise<number> => {
    const { json } = await api.check(service, { tenant_id: api.tenant, ...chat, peek: true });
    return 10 - ((json['limits'] as { remaining: number }[])[0]?.remaining ?? 0);
  };
  beforeAll(() => api.gateway.usePolicy({ ...api.policy, plans }));
  afterAll(() => api.gateway.usePolicy(api.policy));

  test('gives the units back once, also if several outcomes report it', async () => {
    const id = await checked(service, { tenant_id: api.tenant, cost: 4 });
    await checked(service, { tenant_id: api.tenant, cost: 3 });
    expect(await used()).toBe(7);
    for (const latency of [1, 2, 3]) await report(service, id, { status: 500, latency_ms: latency });
    await report(service, id, { status: 200, latency_ms: 4 });
    expect(await used()).toBe(3);
    const data = amends().map((event) => event.data as { status: number; units?: number; cost?: number });
    expect(data.map(({ status, units, cost }) => [status, units, cost])).toEqual([
      [500, 0, 0],
      [500, 0, 0],
      [500, 0, 0],
      [200, undefined, undefined],
    ]);
  });

  test('of another status keeps the units', async () => {
    await report(service, await checked(service, { tenant_id: api.tenant }), { status: 404, latency_ms: 1 });
    expect(await used()).toBe(1);
  });

  test('keeps the units if a tenant reports it, because it would free itself from its limits', async () => {
    const own = await as(api.tenant);
    expect((await report(own, await checked(own))).status).toBe(202);
    expect(await used()).toBe(1);
    expect(amends()[0]?.data).not.toHaveProperty('units');
  });

  test('gives the units of a decision of another node back, once', async () => {
    await checked(service, { tenant_id: api.tenant, cost: 5 });
    const fields = { user_id: '', plan: 'free', decision: 'allowed', client_ip: '', degraded: false };
    const id = await stored(api.tenant, { ...fields, route: '*', units: 2 });
    for (const latency of [1, 2]) await report(service, id, { status: 503, latency_ms: latency });
    expect(await used()).toBe(3);
    const limited = await stored(api.tenant, { ...fields, decision: 'limited', route: '*', units: 2 });
    await report(service, limited);
    expect(await used()).toBe(3);
  });
});

describe('POST /v1/outcomes', () => {
  const many = (headers: Record<string, string>, ids: readonly string[]) =>
    api.call('POST', '/v1/outcomes', headers, {
      outcomes: ids.map((id) => ({ decision_id: id, ...outcome })),
    });

  test('each outcome has its own result, in order', async () => {
    const own = await as(api.tenant);
    const [first, second] = [await checked(own), await checked(own)];
    const otherTenants = await checked(await as(`${api.tenant}-other`));
    const old = v7({ msecs: Date.now() - 25 * 3_600_000 });
    const { status, json } = await many(own, [first, otherTenants, v7(), old, second, first]);
    expect(status).toBe(202);
    expect(json['accepted']).toBe(3);
    expect((json['results'] as { status: string }[]).map((one) => one.status)).toEqual([
      'accepted',
      'unknown',
      'unknown',
      'expired',
      'accepted',
      'accepted',
    ]);
    expect(amends()).toHaveLength(2);
  });

  test('a call has at most a thousand outcomes and at least one', async () => {
    expect(
      (
        await many(
          service,
          Array.from({ length: 1_001 }, () => v7()),
        )
      ).status,
    ).toBe(400);
    expect((await many(service, [])).status).toBe(400);
    expect(
      (
        await many(
          service,
          Array.from({ length: 1_000 }, () => v7()),
        )
      ).status,
    ).toBe(400);
  });

  test('F6: ids of the future are unknown and cost no query to ClickHouse, however far they are apart', async () => {
    const own = await as(api.tenant);
    const id = await stored(api.tenant, { user_id: 'u1' });
    const nowMs = Date.now();
    const ahead = Array.from({ length: 300 }, (_, index) => v7({ msecs: nowMs + (index + 1) * 3_700_000 }));
    const { status, json } = await many(own, [id, ...ahead]);
    expect([status, json['accepted']]).toEqual([202, 1]);
    const results = (json['results'] as { status: string }[]).map((one) => one.status);
    expect(results).toEqual(['accepted', ...ahead.map(() => 'unknown')]);
    let queries = 0;
    const counting: ClickHouseReader = {
      query: (sql, params, options) => {
        queries += 1;
        return clickhouse.query(sql, params, options);
      },
    };
    const question = { tenantId: api.tenant, entrypoints: ['check'], nowMs };
    const found = await requestsByIds(counting, [id, ...ahead], question);
    expect([found.map((one) => one.id), queries]).toEqual([[id], 1]);
  });

  test('F6: each outcome is charged to its tenant as one event', async () => {
    api.gateway.usePolicy({ ...api.policy, api: '{ events: { limit: 5, window: 1m } }' });
    try {
      const own = await as(api.tenant);
      const id = await checked(own);
      expect((await many(own, [id, id, id, id])).status).toBe(202);
      const refused = await many(own, [id, id]);
      expect([refused.status, refused.response.headers.get('retry-after')]).toEqual([
        429,
        expect.stringMatching(/^\d+$/),
      ]);
      expect((await many(own, [id])).status).toBe(202);
    } finally {
      api.gateway.usePolicy(api.policy);
    }
  });
});
