// Goal: a CSV file that does not have all rows says so, or is not sent.
import { expect, test } from 'vitest';
import { nextFile, sendCsv } from '../../../services/console/browser/csv-file.ts';
import { auditPage } from '../../../services/console/operator/audit-page.ts';
import type { OperatorVisit } from '../../../services/console/operator/signed-in.ts';
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

test('a file states that it is cut in its last row, as one field', () => {
  let sent = '';
  const reply = { header: () => reply, type: () => reply, send: (text: string) => ((sent = text), reply) };
  const columns = [{ title: 'name', csv: (name: string) => name }];
  const file = { name: 'names', columns, rows: ['a', 'b'] };
  sendCsv(reply as never, { ...file, remaining: nextFile('/refusals?user="x",y') });
  expect(sent).toBe(
    'name\r\na\r\nb\r\n"This file was cut after 2 rows. The remaining rows: /refusals?user=""x"",y"\r\n',
  );
  sendCsv(reply as never, { ...file, remaining: nextFile(null) });
  expect(sent).toBe('name\r\na\r\nb\r\n');
});

/** A visitor with this many refusals. `filters` has the filter of each query. */
function visitorWith(total: number) {
  const filters: object[] = [];
  const usage = {
    refusalList: (_tenant: string, filter: object, { offset, countMax }: ListPart) => {
      filters.push(filter);
      const rows = Math.max(0, Math.min(countMax, total - offset));
      return Promise.resolve(Array.from({ length: rows }, (_, index) => refusalRow(offset + index)));
    },
  };
  const visitor = { tenantId: 'acme', usage, record: null, zone: 'UTC' } as unknown as Visitor;
  return { filters, visitor };
}

const refusalRow = (index: number): RefusalGroup => ({
  ...{ route: '*', user_id: `u${index}`, limited_by: ['day'], decision: 'limited', requests: 1 },
  ...{ first: '', last: '', event_id: '', method: 'GET', path: '/', plan: 'free' },
});

test('the files of refusals follow each other to the end, with the same end of time', async () => {
  const { filters, visitor } = visitorWith(25_000);
  const users: string[] = [];
  let url: string | null = '/refusals?span=24h&format=csv';
  while (url !== null) {
    let sent = '';
    const reply = { header: () => reply, type: () => reply, send: (text: string) => ((sent = text), reply) };
    const query = Object.fromEntries(new URL(url, 'http://console.test').searchParams);
    const visit = { request: { url, query }, reply, parts: {} } as unknown as Visit;
    const clock = { now: () => Date.parse('2026-11-16T00:00:00Z') + filters.length * 1_000 };
    const policy = () => ({ currency: null }) as Policy;
    await refusalsPage({ policy, reads: {} as StoreReads, clock }, visitor, visit);
    users.push(...[...sent.matchAll(/,(u\d+),/g)].map(([, user = '']) => user));
    url = /The remaining rows: ([^\s"]+)"?\r\n$/.exec(sent)?.[1] ?? null;
  }
  expect(users).toHaveLength(25_000);
  expect(new Set(users).size).toBe(25_000);
  expect(filters).toHaveLength(3);
  expect(new Set(filters.map((filter) => JSON.stringify(filter))).size).toBe(1);
});
