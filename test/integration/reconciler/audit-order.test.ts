// Goal: the audit calls nothing a loss because a clock was set or a topic was created anew, and finds real losses then too.
import { expect, test } from 'vitest';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { recreateTopic } from '../../faults/kafka/recreate-topic.ts';
import { eventually } from '../../support/servers.ts';
import { meterEvent } from '../aggregator/events.ts';
import { spoolRun as run, stamped, upTo, useAuditFixture } from './audit-fixture.ts';

const fixture = useAuditFixture();
const { audit, drained, requests, send } = fixture;

const from = (first: number, last: number): number[] => upTo(last).slice(first - 1);

test('runs of a spool are ordered by their numbers where the clock of the node was set back between them', async () => {
  await send(await requests(upTo(10), run('aa')));
  await send(await requests(from(11, 20), run('bb', 11, -3_600_000)));
  await send(await requests(from(21, 30), run('cc', 21, 5_000)));
  await drained();
  expect(await audit()).toMatchObject({ lost: 0, setBack: [], missingSequences: {} });
});

test('a loss at the end of a run is found where the clock of the node was set back after it', async () => {
  await send(await requests(upTo(8), run('aa')));
  await send(await requests(from(11, 20), run('bb', 11, -3_600_000)));
  await drained();
  expect(await audit()).toMatchObject({
    lost: 2,
    setBack: [],
    missingSequences: { [`node-1 ${run('aa')}`]: [{ from: 9, to: 10 }] },
  });
});

/** Requests, then API events of which most are repeats that rightly have no row. */
async function fillOldTopic(): Promise<void> {
  await send(await requests(upTo(50)));
  const meter = meterEvent('tenant-1');
  await send(from(51, 90).map((number) => stamped({ ...meter }, number)));
  await send(await requests(from(91, 100)));
  await drained();
  const storedAt = performance.now();
  await eventually(() => performance.now() - storedAt > 1_500);
}

/** To a topic that was created a moment ago: until its leaders are known, and until all is stored. */
async function sendToNewTopic(events: readonly UsageCloudEvent[]): Promise<void> {
  await eventually(() => send(events).then(() => true), { timeoutMs: 30_000 });
  const wanted = new Set(events.map(({ spoolsequence }) => spoolsequence));
  await eventually(
    async () => {
      const rows = await fixture.fixture.clickhouse.query<{ sequence: number }>(
        'SELECT toUInt32(sequence) AS sequence FROM stored_events',
      );
      return rows.filter(({ sequence }) => wanted.has(sequence)).length >= wanted.size;
    },
    { timeoutMs: 40_000, intervalMs: 100 },
  );
  await drained();
}

test('a topic that was deleted and created again makes no loss of what was explained by its records', async () => {
  await fillOldTopic();
  await recreateTopic(fixture.fixture.kafka, fixture.fixture.topics.usage, 3);
  await sendToNewTopic(await requests(from(101, 120)));
  expect(await audit()).toMatchObject({ lost: 0, lostRecords: [], setBack: [], missingSequences: {} });
});

test('rows of a deleted topic do not hide a loss under the same offsets of the one that was created again', async () => {
  await fillOldTopic();
  await recreateTopic(fixture.fixture.kafka, fixture.fixture.topics.usage, 3);
  await sendToNewTopic(await requests(from(101, 120)));
  await fixture.fixture.clickhouse.command(
    'ALTER TABLE stored_events DELETE WHERE sequence IN (105, 120) SETTINGS mutations_sync = 2',
  );
  const report = await audit();
  expect(report).toMatchObject({ lost: 2 });
  expect(report.lostRecords).toHaveLength(2);
});
