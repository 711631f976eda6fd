// Goal: if events became dead letters because the clock of their node was far ahead, a replay with corrected times, as
// the runbook describes it, stores them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { replayDeadLetters } from '../../../shared/kafka/dead-letters/replay.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { createFixture } from '../aggregator/fixture.ts';
import type { Fixture } from '../aggregator/fixture.ts';
import { meterEvent, requestEvent } from '../aggregator/events.ts';

const hourMs = 3_600_000;

let fixture: Fixture;
let producer: Producer;
beforeAll(async () => {
  fixture = await createFixture();
  producer = createProducer(fixture.kafka, { registry: createRegistry('test') });
  fixture.start();
});
afterAll(async () => {
  await producer.close();
  await fixture.dispose();
});

test('requests and meter events of a node that was two hours ahead are stored at their right times, each once', async () => {
  const tenant = uniqueName('ahead');
  const timeMs = Date.now() - 60_000;
  const events = Array.from({ length: 20 }, (_, index) =>
    index % 2 === 0
      ? requestEvent(tenant, { timeMs: timeMs + index + 2 * hourMs })
      : { ...meterEvent(tenant), time: new Date(timeMs + index + 2 * hourMs).toISOString() },
  );
  await fixture.produce(events.map((value) => ({ tenant, value })));
  const source = { kafka: fixture.kafka, producer, topic: fixture.topics.deadLetters };
  const selection = {
    reason: 'in the future',
    tenantId: tenant,
    sinceMs: Date.now() - hourMs,
    shiftMs: -2 * hourMs,
  };
  await eventually(
    async () => (await replayDeadLetters(source, { ...selection, dryRun: true })).matched === events.length,
    { intervalMs: 200 },
  );
  for (let time = 1; time <= 2; time += 1)
    expect(await replayDeadLetters(source, { ...selection, dryRun: false })).toMatchObject({
      sent: 20,
      withoutTime: 0,
    });
  const stored = await eventually(
    async () => {
      const rows = await fixture.clickhouse.query<{ event_id: string; at_ms: number }>(
        'SELECT event_id, toUnixTimestamp64Milli(time) AS at_ms FROM usage_events WHERE tenant_id = {tenant:String}',
        { tenant },
      );
      return rows.length >= events.length ? rows : null;
    },
    { intervalMs: 200 },
  );
  const wanted = events.map(({ id }, index) => ({ event_id: id, at_ms: timeMs + index }));
  expect(stored.toSorted((a, b) => a.at_ms - b.at_ms)).toEqual(wanted);
});
