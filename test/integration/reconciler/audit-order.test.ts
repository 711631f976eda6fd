// Goal: a clock that was set or a topic that was created again does not make the audit report a false loss, and the
// audit still finds real losses afterwards.
import { expect, test } from 'vitest';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { recreateTopic } from '../../faults/kafka/recreate-topic.ts';
import { eventually } from '../../support/servers.ts';
import { meterEvent } from '../aggregator/events.ts';
import { numbered, spoolRun as run, upTo, useAuditFixture } from './audit-fixture.ts';

const fixture = useAuditFixture();
const { audit, drained, requests, send } = fixture;

const from = (first: number, last: number): number[] => upTo(last).slice(first - 1);

test('runs of a spool are ordered by their sequence numbers where the clock of the node was set back between them', async () => {
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

/** Sends requests, then API events. Most of the API events are repeats, which correctly have no row. */
async function fillOldTopic(): Promise<void> {
  await send(await requests(upTo(50)));
  const meter = meterEvent('tenant-1');
  await send(from(51, 90).map((number) => numbered({ ...meter }, number)));
  await send(await requests(from(91, 100)));
  await drained();
  const storedAt = performance.now();
  await eventually(() => performance.now() - storedAt > 1_500);
}

/** Sends to a topic that was just created: retries until it has leaders, then waits until all events are stored. */
async function sendToNewTopic(events: readonly UsageCloudEvent[]): Promise<void> {
  await eventually(() => send(events).then(() => true));
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

test('events that the records of a deleted topic explained are no loss after it is created again', async () => {
  await fillOldTopic();
  await recreateTopic(fixture.fixture.kafka, fixture.fixture.topics.usage, 3);
  await sendToNewTopic(await requests(from(101, 120)));
  expect(await audit()).toMatchObject({ lost: 0, lostRecords: [], setBack: [], missingSequences: {} });
});

test('rows of a deleted topic do not hide a loss at the same offsets of the new topic', async () => {
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
