// Goal: a meter returns the sums of a tenant's events in JSON and CSV, to this tenant only, and a failed query returns
// an error.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ClickHouse } from '../../../../shared/clickhouse/client.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { storeUsage } from '../../../support/stored-usage.ts';
import { createFixture } from '../../aggregator/fixture.ts';
import type { Fixture } from '../../aggregator/fixture.ts';
import { policy as apiPolicy, service } from '../api.ts';
import { as, limitHeadersOf, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';

const policy = {
  ...apiPolicy,
  meters: `
  - { name: tokens, event_type: llm.completion.v1, aggregation: sum, value: tokens, group_by: [model, user_id] }
  - { name: requests, event_type: tollgate.request.v1, aggregation: count }`,
};
const day = Date.UTC(2026, 9, 25);
const span = `from=${iso(-24)}&to=${iso(48)}`;

let fixture: Fixture;
let gateway: TestGateway;
let tenant: string;

beforeAll(async () => {
  fixture = await createFixture();
  gateway = await startGateway({ policy, database: fixture.database });
});

afterAll(async () => {
  await gateway.close();
  await dropDatabase(fixture.clickhouse, fixture.database);
  await fixture.dispose();
});

beforeEach(() => {
  tenant = uniqueName('acme');
});

describe('GET /v1/meters/{name}/query', () => {
  test('published events are summed through the pipeline by window, zone and group, for this tenant only', async () => {
    const other = uniqueName('other');
    await publish(tenant, [
      { hour: 0.5, data: { tokens: 10, model: 'small', user_id: 'ada' } },
      { hour: 1.5, data: { tokens: 20.5, model: 'large, "new"', user_id: 'ada' } },
      { hour: 23.5, data: { tokens: 7, model: 'small', user_id: 'bob' } },
      { hour: 2, data: { tokens: 'many', model: 'small' } },
    ]);
    await publish(other, [{ hour: 1, data: { tokens: 1000, model: 'small' } }]);
    await fixture.produce(gateway.events.splice(0).map((event) => ({ tenant: event.subject, value: event })));
    const aggregator = fixture.start();
    await eventually(async () => {
      expect(await values(other, '')).toEqual([1000]);
      const { body } = await get(`tokens/query?${span}`, await as(tenant));
      const complete_through = expect.any(String) as unknown;
      expect(body).toMatchObject({ rows: [{ value: 37.5 }], complete_through });
      return true;
    });
    await aggregator.stop();

    const byModel = `&window=day&time_zone=Europe/Berlin&group_by=model`;
    const json = await get(`tokens/query?${span}${byModel}`, await as(tenant));
    expect(json.status).toBe(200);
    expect(limitHeadersOf(json.response)).toMatchObject({ limit: 100, remaining: 100 });
    // Berlin's clocks change that night, so its day has 25 hours.
    const [first, second] = [iso(-2), iso(23)];
    expect(json.body).toEqual({
      meter: 'tokens',
      tenant_id: tenant,
      window: 'day',
      time_zone: 'Europe/Berlin',
      rows: [
        { window_start: first, window_end: second, group: { model: 'large, "new"' }, value: 20.5 },
        { window_start: first, window_end: second, group: { model: 'small' }, value: 10 },
        { window_start: second, window_end: iso(47), group: { model: 'small' }, value: 7 },
      ],
      complete_through: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
      complete_from: null,
    });
    expect(await values(tenant, '&group_by=user_id&group_by=model')).toEqual([null, 20.5, 10, 7]);

    const table = [
      'window_start,window_end,model,value',
      `${first},${second},"large, ""new""",20.5`,
      `${first},${second},small,10`,
      `${second},${iso(47)},small,7`,
      '',
    ].join('\r\n');
    for (const [query, accept] of [
      ['&format=csv', '*/*'],
      ['', 'text/csv, application/json;q=0.5'],
    ] as const) {
      const csv = await get(`tokens/query?${span}${byModel}${query}`, { ...(await as(tenant)), accept });
      expect(csv.response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
      expect(csv.response.headers.get('x-tollgate-complete-through')).toMatch(/^\d{4}-.*Z$/);
      expect(limitHeadersOf(csv.response).limit).toBe(100);
      expect(csv.body).toBe(table);
    }
  });

  test('requests are measured too; days are those of the tenant, unless the query names another zone', async () => {
    await storeUsage(
      fixture.clickhouse,
      [-1, 1, 2].map((hour) => ({ timeMs: day + hour * 3_600_000, tenant })),
    );
    expect(await values(tenant, '&window=day', 'requests')).toEqual([1, 2]);
    gateway.records.set(tenant, {
      tenant_id: tenant,
      time_zone: 'Asia/Kolkata',
      updated_at: '',
      updated_by: '',
    });
    expect((await get(`requests/query?${span}&window=day`, await as(tenant))).body).toMatchObject({
      time_zone: 'Asia/Kolkata',
      rows: [{ value: 3 }],
    });
    expect(await values(tenant, '&window=day&time_zone=utc', 'requests')).toEqual([1, 2]);
    expect(await values(tenant, '&window=hour&time_zone=Asia/Kolkata', 'requests')).toEqual([1, 1, 1]);
  });

  test('an answer states from when on it is complete if events of its range are deleted', async () => {
    const days = (count: number): string => new Date(Date.now() - count * 86_400_000).toISOString();
    const read = (from: string, format: string) =>
      as(tenant).then((headers) => get(`requests/query?from=${from}&format=${format}`, headers));
    const [within, before] = [await read(days(399), 'json'), await read(days(401), 'json')];
    expect(within.body).toMatchObject({ complete_from: null });
    const { complete_from: from } = before.body as { complete_from: string };
    expect(Math.abs(Date.parse(from) - Date.parse(days(400)))).toBeLessThan(60_000);
    const csvHeader = async (start: string) =>
      (await read(start, 'csv')).response.headers.get('x-tollgate-complete-from');
    expect(await csvHeader(days(399))).toBeNull();
    expect(await csvHeader(days(401))).toMatch(/^\d{4}-.*Z$/);
  });

  test('a service queries any tenant, a tenant itself only', async () => {
    await storeUsage(fixture.clickhouse, [{ timeMs: day, tenant }]);
    expect((await get(`requests/query?${span}&tenant_id=${tenant}`, service)).body).toMatchObject({
      tenant_id: tenant,
      window: null,
      rows: [{ window_start: iso(-24), window_end: iso(48), group: {}, value: 1 }],
    });
    expect((await get(`requests/query?${span}`, service)).status).toBe(400);
    const otherTenant = await as(uniqueName('other'));
    expect((await get(`requests/query?${span}&tenant_id=${tenant}`, otherTenant)).status).toBe(403);
    expect((await get(`requests/query?${span}`, otherTenant)).body).toMatchObject({ rows: [] });
    expect((await get(`requests/query?${span}`)).status).toBe(401);
  });

  test.each([
    ['an unknown meter', `nothing/query?${span}`, 404, /lists them: tokens, requests\.$/],
    ['no from', 'tokens/query', 400, /'from'/],
    [
      'a date alone',
      'tokens/query?from=2026-11-01',
      400,
      /^from must be an RFC 3339 time.*e\.g\. 2026-11-01T/,
    ],
    ['a bare +', 'tokens/query?from=2026-11-01T00:00:00+01:00', 400, /write the \+ of an offset as %2B\.$/],
    ['30 February', 'tokens/query?from=2026-02-30T00:00:00Z', 400, /^from must be an RFC 3339 time/],
    ['hour 24', 'tokens/query?from=2026-02-20T24:00:00Z', 400, /^from must be an RFC 3339 time/],
    ['a far year', 'tokens/query?from=9999-01-01T00:00:00Z', 400, /2000 to 2199/],
    ['an empty span', `tokens/query?from=${iso(1)}&to=${iso(1)}`, 400, /^from must be before to/],
    ['a span ahead', 'tokens/query?from=2199-01-01T00:00:00Z', 400, /^from must be before to/],
    [
      'another window',
      `tokens/query?${span}&window=week`,
      400,
      /^window must be one of: minute, hour, day, month\.$/,
    ],
    ['another format', `tokens/query?${span}&format=xml`, 400, /^format must be one of: json, csv\.$/],
    ['no zone', `tokens/query?${span}&time_zone=Mars/Base`, 400, /^time_zone must be an IANA time zone/],
    [
      'an offset as zone',
      `tokens/query?${span}&time_zone=%2B01:00`,
      400,
      /^time_zone must be an IANA time zone/,
    ],
    [
      'another group',
      `tokens/query?${span}&group_by=model,secret`,
      400,
      /no group "secret"; its groups are: model, user_id\.$/,
    ],
    [
      'a meter without groups',
      `requests/query?${span}&group_by=route`,
      400,
      /has no groups; omit group_by\.$/,
    ],
    ['a mistyped parameter', `tokens/query?${span}&windw=day`, 400, /must not have "windw"\.$/],
  ])(
    '%s is a problem that describes the violation, with the limit headers',
    async (_what, path, status, detail) => {
      const answer = await get(path, await as(tenant));
      expect(answer).toMatchObject({
        status,
        body: { status, detail: expect.stringMatching(detail) as unknown },
      });
      expect(answer.response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      expect(limitHeadersOf(answer.response)).toMatchObject({ limit: 100, remaining: 100 });
    },
  );

  test('too many rows are refused, never truncated', async () => {
    const minutes = Array.from({ length: 10_001 }, (_, index) => ({ timeMs: day + index * 60_000, tenant }));
    await storeUsage(fixture.clickhouse, minutes);
    const query = `requests/query?from=${iso(0)}&to=${iso(240)}`;
    expect(await get(`${query}&window=minute`, await as(tenant))).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/more than 10000 rows: use a shorter span/) as unknown },
    });
    expect((await get(query, await as(tenant))).body).toMatchObject({ rows: [{ value: 10_001 }] });
  });

  test('a ClickHouse that does not respond is a 503, never a zero', async () => {
    const blind = await startGateway({ policy, database: 'no_such_database' });
    const response = await fetch(`${blind.apiUrl}/v1/meters/tokens/query?${span}`, {
      headers: await as(tenant),
    });
    expect(response.status).toBe(503);
    expect(limitHeadersOf(response).limit).toBe(100);
    expect(await response.json()).toMatchObject({
      detail: expect.stringMatching(/^The meter cannot be read now/) as unknown,
    });
    await blind.close();
  });
});

test('GET /v1/meters lists the meters of the policy to every caller with credentials', async () => {
  const { status, response, body } = await get('', await as(tenant));
  expect(status).toBe(200);
  expect(limitHeadersOf(response).limit).toBe(100);
  expect(body).toEqual({
    meters: [
      {
        name: 'tokens',
        event_type: 'llm.completion.v1',
        aggregation: 'sum',
        value: 'tokens',
        group_by: ['model', 'user_id'],
      },
      {
        name: 'requests',
        event_type: 'tollgate.request.v1',
        aggregation: 'count',
        value: null,
        group_by: [],
      },
    ],
  });
  expect((await get('')).status).toBe(401);
});

function iso(hour: number): string {
  return new Date(day + hour * 3_600_000).toISOString();
}

async function get(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; response: Response; body: unknown }> {
  const response = await fetch(`${gateway.apiUrl}/v1/meters${path === '' ? '' : `/${path}`}`, { headers });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return { status: response.status, response, body: isJson ? (JSON.parse(text) as unknown) : text };
}

async function values(of: string, query: string, meter = 'tokens'): Promise<(number | null)[]> {
  const { body } = await get(`${meter}/query?${span}${query}`, await as(of));
  return (body as { rows: { value: number | null }[] }).rows.map(({ value }) => value);
}

async function publish(of: string, events: readonly { hour: number; data: object }[]): Promise<void> {
  const batch = events.map(({ hour, data }, index) => ({
    specversion: '1.0',
    id: String(index),
    source: '/app',
    type: 'llm.completion.v1',
    time: iso(hour),
    data,
  }));
  const response = await fetch(`${gateway.apiUrl}/v1/events`, {
    method: 'POST',
    headers: { ...(await as(of, { sub: undefined })), 'content-type': 'application/cloudevents-batch+json' },
    body: JSON.stringify(batch),
  });
  expect(await response.json()).toMatchObject({ accepted: events.length });
}

function dropDatabase(clickhouse: ClickHouse, database: string): Promise<void> {
  return clickhouse.command(`DROP DATABASE IF EXISTS ${database}`);
}
