// Goal: a meter's windows are the calendar days of every zone, and a query from start to end of a window returns it.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ClickHouse } from '../../../../shared/clickhouse/client.ts';
import { uniqueName } from '../../../support/servers.ts';
import { storeUsage } from '../../../support/stored-usage.ts';
import { freshDatabase } from '../../reconciler/database.ts';
import { policy as apiPolicy } from '../api.ts';
import { as, startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';

const policy = {
  ...apiPolicy,
  meters: '\n  - { name: requests, event_type: tollgate.request.v1, aggregation: count }',
};

interface Row {
  readonly window_start: string;
  readonly window_end: string;
  readonly value: number;
}

let clickhouse: ClickHouse;
let gateway: TestGateway;
let tenant: string;

beforeAll(async () => {
  clickhouse = await freshDatabase();
  gateway = await startGateway({ policy, database: clickhouse.options.database });
});

afterAll(async () => {
  await gateway.close();
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
});

beforeEach(() => {
  tenant = uniqueName('acme');
});

async function rows(query: string): Promise<[string, string, number][]> {
  const url = `${gateway.apiUrl}/v1/meters/requests/query?${query}`;
  const response = await fetch(url, { headers: await as(tenant) });
  const body = (await response.json()) as { rows: Row[] };
  expect(response.status, JSON.stringify(body)).toBe(200);
  return body.rows.map(({ window_start, window_end, value }) => [window_start, window_end, value]);
}

test.each([
  // The clocks change from 00:00 to 01:00, so the day has 23 hours.
  ['America/Santiago', '2026-09-05T04:00', '2026-09-06T04:00', '2026-09-07T03:00', '2026-09-08T03:00'],
  // At midnight the clocks change back to 23:00 of the previous day, so that day has 25 hours.
  ['America/Santiago', '2026-04-04T03:00', '2026-04-05T04:00', '2026-04-06T04:00', '2026-04-07T04:00'],
  ['Asia/Beirut', '2026-03-27T22:00', '2026-03-28T22:00', '2026-03-29T21:00', '2026-03-30T21:00'],
  ['Asia/Kolkata', '2026-03-27T18:30', '2026-03-28T18:30', '2026-03-29T18:30', '2026-03-30T18:30'],
])('days of %s meet: the end of one is the start of the next query', async (zone, ...starts) => {
  const days = starts.map((minute) => `${minute}:00.000Z`);
  const [first = '', , , last = ''] = days;
  await storeUsage(
    clickhouse,
    days.flatMap((start) => [-1, 0, 1].map((ms) => ({ timeMs: Date.parse(start) + ms, tenant }))),
  );
  const daysOf = (from: string, to: string) => rows(`from=${from}&to=${to}&window=day&time_zone=${zone}`);
  const expected = days.slice(0, -1).map((start, index) => [start, days[index + 1], 3]);
  expect(await daysOf(first, last)).toEqual(expected);
  for (const row of expected) expect(await daysOf(String(row[0]), String(row[1]))).toEqual([row]);
});

test.each([
  'Asia/Kolkata',
  'asia/kolkata',
  'US/Pacific',
  'Europe/Kyiv',
  'Pacific/Kanton',
  'America/Coyhaique',
])('the zone %s is a name of the IANA database, so it is accepted', async (zone) => {
  await storeUsage(clickhouse, [{ timeMs: Date.UTC(2026, 9, 25), tenant }]);
  const [row] = await rows(`from=2026-10-01T12:00:00Z&window=month&time_zone=${zone}`);
  expect(row?.[2]).toBe(1);
});
