// Goal: the history refers to its file only for rows that the file has.
import { expect, test } from 'vitest';
import { createParts } from '../../../../services/console/browser/parts.ts';
import type { HistorySources } from '../../../../services/console/portal/history/history-frame.ts';
import { historyPage } from '../../../../services/console/portal/history/history-page.ts';
import { intervalsOf, wantedHistory } from '../../../../services/console/portal/history/wanted-history.ts';
import type { Visit, Visitor } from '../../../../services/console/portal/visitor.ts';
import { historyRowsMax } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';
import type { HistoryRow } from '../../../../shared/clickhouse/queries/portal/usage-history.ts';

const nowMs = Date.parse('2026-11-27T10:07:31Z');
const fields = { span: '30d', by: 'route' };
const starts = intervalsOf(wantedHistory(fields, 'UTC', nowMs).query);

/** The page of a tenant with this many routes, each with one request a day. */
async function pageWith(routes: number): Promise<string> {
  const sums = { requests: 1, limited: 0, errors: 0, units: 1, cost: 0n, latency_p95: 1 };
  const rows = starts.flatMap((at_ms): HistoryRow[] =>
    Array.from({ length: routes }, (_, at) => ({ at_ms, key: `GET /${at}`, ...sums })),
  );
  const usage = {
    history: () => Promise.resolve(rows.slice(0, historyRowsMax + 1)),
    completeThrough: () => Promise.resolve(null),
  };
  const policy = { currency: 'USD', meters: new Map(), plans: new Map(), routes: [] };
  const sources = {
    reads: { orNull: (read: Promise<unknown>) => read },
    clock: { now: () => nowMs },
    policy: () => policy,
  };
  const request = { url: '/history', query: fields };
  const parts = createParts({ ...request, query: { wait: '1' } } as never);
  const content = await historyPage(
    sources as unknown as HistorySources,
    { tenantId: 'acme', zone: 'UTC', usage } as unknown as Visitor,
    { request, parts } as unknown as Visit,
  );
  return String(content?.body).replaceAll(/\s+/g, ' ');
}

test('groups that the table omits are in the file', async () => {
  expect(await pageWith(100)).not.toContain('the CSV file');
  expect(await pageWith(101)).toContain('1 more is in the CSV file.');
  expect(await pageWith(102)).toContain('2 more are in the CSV file.');
});

test('a history with more rows than its file refers to a shorter time', async () => {
  const page = await pageWith(Math.ceil(historyRowsMax / starts.length) + 1);
  expect(page).not.toContain('the CSV file');
  expect(page).toContain('The latest rows are missing');
  expect(page).toContain(
    'These are the 100 largest of the rows that were read. To see others, choose a shorter time',
  );
});
