// Goal: the audit finds a loss that is planted, names it exactly, and is quiet when there is none.
import { afterEach, expect, test } from 'vitest';
import { audit, missingCount } from '../../../shared/clickhouse/audit.ts';
import type { AuditReport } from '../../../shared/clickhouse/audit.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';

const startMs = Date.UTC(2026, 10, 20, 12);
const span = { sinceMs: startMs, untilMs: startMs + 3_600_000 };
let clickhouse: ClickHouse;
afterEach(() => clickhouse.close());

/** 10,000 events of two nodes over three partitions, without those whose number the condition names. */
async function storeAll(except = '0'): Promise<void> {
  clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: uniqueNamespace().database });
  await migrate(clickhouse);
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, node, sequence, decision, kafka_partition, kafka_offset)
    SELECT fromUnixTimestamp64Milli({start:Int64} + number * 10, 'UTC'), 'acme', number % 4096, number, 'tollgate.request.v1',
      'node-' || toString(number % 2), 500 + intDiv(number, 2), 'allowed', number % 3, 90 + intDiv(number, 3)
    FROM numbers(10000) WHERE NOT (${except})`,
    { start: startMs },
  );
  const minutes = new Set(Array.from({ length: 60 }, (_, index) => startMs + index * 60_000));
  await deriveTotals(clickhouse, { tenantIds: new Set(['acme']), minutes });
}

function run(): Promise<AuditReport> {
  return audit(clickhouse, span);
}

test('it is quiet when nothing is missing, whatever was stored twice', async () => {
  await storeAll();
  await clickhouse.command('INSERT INTO stored_events SELECT * FROM stored_events LIMIT 500');
  expect(await run()).toEqual({
    missingOffsets: {},
    missingSequences: {},
    disagreements: [],
    events: 10_000,
    rangesCut: false,
  });
});

test('it names each event that was lost, by partition and offset and by node and number', async () => {
  await storeAll('number = 3000 OR number BETWEEN 6000 AND 6005');
  const report = await run();
  expect(report.missingSequences).toEqual({
    'node-0': [
      { from: 2000, to: 2000 },
      { from: 3500, to: 3502 },
    ],
    'node-1': [{ from: 3500, to: 3502 }],
  });
  expect(report.missingOffsets).toEqual({
    '0': [
      { from: 1090, to: 1090 },
      { from: 2090, to: 2091 },
    ],
    '1': [{ from: 2090, to: 2091 }],
    '2': [{ from: 2090, to: 2091 }],
  });
  expect([missingCount(report.missingOffsets), missingCount(report.missingSequences)]).toEqual([7, 7]);
});

test('it finds events that the totals lack', async () => {
  await storeAll();
  await clickhouse.command(
    `INSERT INTO stored_events (time, tenant_id, id_a, id_b, type, node, sequence, decision, kafka_partition, kafka_offset)
    VALUES (fromUnixTimestamp64Milli({at:Int64}), 'acme', 1, 77, 'tollgate.request.v1', 'node-0', 499, 'allowed', 0, 89)`,
    { at: startMs + 5 },
  );
  expect((await run()).disagreements).toEqual([
    { day: '2026-11-20', events: 10_001, by_minute: 10_000, by_hour: 10_000, by_day: 10_000 },
  ]);
});
