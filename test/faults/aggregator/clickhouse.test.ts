// Goal: after every failure of an insert the aggregator retries its batch of events, and every event counts once.
// Method: inject one failure after the other in a ClickHouse engine that only this test uses, under steady load; after
// each failure compare the totals of every level.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { allEqual, counts, createFixture } from '../../integration/aggregator/fixture.ts';
import type { Fixture, RunningAggregator } from '../../integration/aggregator/fixture.ts';
import { requestEvent } from '../../integration/aggregator/events.ts';
import { eventually, startClickHouse } from '../../support/servers.ts';

const requestTimeoutMs = 3_000;

let server: Awaited<ReturnType<typeof startClickHouse>>;
let fixture: Fixture;
let aggregator: RunningAggregator;
let sent: number;
beforeAll(async () => {
  server = await startClickHouse();
});
afterAll(() => server.dispose());
beforeEach(async () => {
  sent = 0;
  fixture = await createFixture(server.url);
  aggregator = fixture.start({ blockRowsMax: 100, requestTimeoutMs });
});
afterEach(async () => {
  await fixture.dispose();
});

async function send(count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, index) => requestEvent(`tenant-${index % 5}`));
  await fixture.produce(events.map((value) => ({ tenant: value.subject, value })));
  sent += count;
}

/** Sends a few events every 50 ms until `trouble` resolves. */
async function under(trouble: Promise<unknown>): Promise<void> {
  const over = trouble.then(() => true);
  do await send(20);
  while (!(await Promise.race([over, pause(50)])));
}

async function allCounted(): Promise<void> {
  await eventually(
    async () => {
      const row = await counts(fixture.clickhouse);
      expect(allEqual(row, sent), `${JSON.stringify(row)}, sent ${sent}`).toBe(true);
      return aggregator.unready().length === 0;
    },
    { timeoutMs: 60_000, intervalMs: 200 },
  );
}

function pause(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms));
}

async function failures(): Promise<number> {
  const metric = await aggregator.registry.getSingleMetric('tollgate_aggregator_step_failures_total')?.get();
  return metric?.values.reduce((sum, { value }) => sum + value, 0) ?? 0;
}

const setting = (value: number): Promise<void> =>
  fixture.clickhouse.command(`ALTER TABLE stored_events MODIFY SETTING parts_to_throw_insert = ${value}`);

test('too many parts: the aggregator is not ready, retries at growing intervals, and loses nothing', async () => {
  await send(100);
  await allCounted();
  await fixture.clickhouse.command('SYSTEM STOP MERGES stored_events');
  await setting(1);
  const insert = async (): Promise<never> => {
    for (;;) {
      await send(20);
      await fixture.clickhouse.command('INSERT INTO stored_events SELECT * FROM stored_events LIMIT 1');
    }
  };
  await expect(insert()).rejects.toMatchObject({ code: 'CLICKHOUSE_UNAVAILABLE', cause: { code: '252' } });
  await eventually(() => aggregator.unready().includes('clickhouse'));
  const before = await failures();
  await under(pause(2_500));
  // The pause between retries doubles from 0.1 s to 5 s, because frequent retries would keep an overloaded server
  // overloaded.
  expect((await failures()) - before).toBeLessThan(10);
  await setting(3_000);
  await fixture.clickhouse.command('SYSTEM START MERGES stored_events');
  await allCounted();
});

test('paused for longer than a request may take, then resumed: a late insert counts once', async () => {
  await send(100);
  const stopped = (async () => {
    for (let round = 0; round < 2; round += 1) {
      await pause(300);
      server.pause();
      await pause(1.5 * requestTimeoutMs);
      server.resume();
    }
  })();
  await under(stopped);
  expect(await failures()).toBeGreaterThan(0);
  await allCounted();
});

test('paused nine tenths of the time: the totals are late and complete', async () => {
  const slow = (async () => {
    for (let round = 0; round < 12; round += 1) {
      server.pause();
      await pause(450);
      server.resume();
      await pause(50);
    }
  })();
  await under(slow);
  await allCounted();
});

test('killed in the middle of inserts, again and again: every event counts once', async () => {
  const killed = (async () => {
    for (let round = 0; round < 3; round += 1) {
      await pause(200 + round * 170);
      await server.restart();
    }
  })();
  await under(killed);
  await allCounted();
});
