// Goal: a CSV file that does not have all rows says so, or is not sent.
import { expect, test } from 'vitest';
import { nextFile, sendCsv } from '../../../services/console/browser/csv-file.ts';
import { auditPage } from '../../../services/console/operator/audit-page.ts';
import type { OperatorVisit } from '../../../services/console/operator/signed-in.ts';
import { eventsPage } from '../../../services/console/portal/events/events-page.ts';
import { refusalsPage } from '../../../services/console/portal/refusals/refusals-page.ts';
import type { Visit, Visitor } from '../../../services/console/portal/visitor.ts';
import type { ListPart, RefusalGroup } from '../../../shared/clickhouse/queries/portal/refusals.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { StoreReads } from '../../../shared/runtime/store-reads.ts';
import type { AuditPage } from '../../../shared/tenants/audit-trail.ts';

async function fileOf(page: AuditPage) {
  let sent = '';
  const reply = { header: () => reply, type: () => reply, send: (text: string) => ((sent = text), reply) };
  const request = { url: '/operator/audit?format=csv', query: { format: 'csv' } };
  const visit = { name: 'ada', request, reply, parts: {} } as unknown as OperatorVisit;
  const content = await auditPage({ auditTrail: { read: () => Promise.resolve(page) } }, visit);
  return { sent, status: content?.status };
}

test('the last row of a cut file has the address of the remaining rows', async () => {
  const { sent } = await fileOf({ entries: [], nextCursor: '17.a', complete: true });
  expect(sent).toContain('cut after 0 rows. The remaining rows: /operator/audit?format=csv&cursor=17.a');
});

test('while ClickHouse does not answer, no file is sent', async () => {
  const file = await fileOf({ entries: [], nextCursor: null, complete: false });
  expect(file).toEqual({ sent: '', status: 503 });
});

test('a file states that it is cut in its last row, which has as many fields as the other rows', () => {
  let sent = '';
  const reply = { header: () => reply, type: () => reply, send: (text: string) => ((sent = text), reply) };
  const columns = [
    { title: 'name', csv: (name: string) => name },
    { title: 'only on the page' },
    { title: 'size', csv: (name: string) => name.length },
  ];
  const file = { name: 'names', columns, rows: ['a', 'b'] };
  sendCsv(reply as never, { ...file, remaining: nextFile('/refusals?user="x",y') });
  expect(sent).toBe(
    'name,size\r\na,1\r\nb,1\r\n"This file was cut after 2 rows. The remaining rows: /refusals?user=""x"",y",\r\n',
  );
  sendCsv(reply as never, { ...file, remaining: nextFile(null) });
  expect(sent).toBe('name,size\r\na,1\r\nb,1\r\n');
});

/** A visitor with this many refusals. `filters` has the filter of each query, and `parts` the requested part of the list. */
function visitorWith(total: number, storedSinceMs: number | null = null) {
  const filters: object[] = [];
  const parts: ListPart[] = [];
  const usage = {
    refusalList: (_tenant: string, filter: object, part: ListPart) => {
      filters.push(filter);
      parts.push(part);
      const { cursor = null } = part;
      const first = part.offset + (cursor === null ? 0 : lastMs - cursor.timeMs + 1);
      const rows = Math.max(0, Math.min(part.countMax, total - first));
      return Promise.resolve(Array.from({ length: rows }, (_, index) => refusalRow(first + index)));
    },
    events: () => Promise.resolve({ events: [], next: null }),
    eventsStoredSince: () => Promise.resolve(storedSinceMs),
  };
  const visitor = { tenantId: 'acme', usage, record: null, zone: 'UTC' } as unknown as Visitor;
  return { filters, parts, visitor };
}

const lastMs = Date.parse('2026-11-15T23:00:00Z');
const timeOf = (index: number): string => new Date(lastMs - index).toISOString();
const refusalRow = (index: number): RefusalGroup => ({
  ...{ route: '*', user_id: `u${index}`, limited_by: ['day'], decision: 'limited', requests: 1 },
  ...{
    first: timeOf(index),
    last: timeOf(index),
    event_id: `e${index}`,
    method: 'GET',
    path: '/',
    plan: 'free',
  },
});

/** The CSV file at the address: the users in it, and the address of the next file. */
async function refusalsFile(
  visitor: Visitor,
  url: string,
  atMs: number,
  page: typeof eventsPage = refusalsPage,
) {
  let sent = '';
  const reply = { header: () => reply, type: () => reply, send: (text: string) => ((sent = text), reply) };
  const query = Object.fromEntries(new URL(url, 'http://console.test').searchParams);
  const visit = { request: { url, query }, reply, parts: {} } as unknown as Visit;
  const policy = () => ({ currency: null }) as Policy;
  await page({ policy, reads: {} as StoreReads, clock: { now: () => atMs } }, visitor, visit);
  return {
    sent,
    users: [...sent.matchAll(/,(u\d+),/g)].map(([, user = '']) => user),
    next: /The remaining rows: ([^\s",]+)"?,*\r\n$/.exec(sent)?.[1] ?? null,
  };
}

const nowMs = Date.parse('2026-11-16T00:00:00Z');

test.each(['each', ''])(
  'the files of refusals (view “%s”) follow each other to the end, with the same end of time and without skipped rows',
  async (view) => {
    const { filters, parts, visitor } = visitorWith(25_000);
    const users: string[] = [];
    let url: string | null = `/refusals?view=${view}&span=24h&format=csv`;
    while (url !== null) {
      const file = await refusalsFile(visitor, url, nowMs + filters.length * 1_000);
      users.push(...file.users);
      url = file.next;
    }
    expect(users).toHaveLength(25_000);
    expect(new Set(users).size).toBe(25_000);
    expect(filters).toHaveLength(3);
    expect(new Set(filters.map((filter) => JSON.stringify(filter))).size).toBe(1);
    expect(parts.map(({ offset }) => offset)).toEqual([0, 0, 0]);
  },
);

test('no address of a file has a large offset', async () => {
  const { parts, visitor } = visitorWith(25_000);
  const file = await refusalsFile(visitor, '/refusals?format=csv&offset=90000000', nowMs);
  expect(file.users).toHaveLength(10_000);
  expect(file.sent).toContain('cut after 10,000 rows. The remaining rows: ');
  expect(parts.map(({ offset }) => offset)).toEqual([0]);
});

test('a file counted from single events states from which day on it is complete', async () => {
  const { visitor } = visitorWith(1, nowMs - 7 * 86_400_000);
  for (const [name, page] of Object.entries({ refusals: refusalsPage, events: eventsPage })) {
    const read = (span: string) => refusalsFile(visitor, `/${name}?span=${span}&format=csv`, nowMs, page);
    expect((await read('30d')).sent).toContain('Complete only from 2026-11-09 on');
    expect((await read('24h')).sent).not.toContain('Complete only');
  }
});
