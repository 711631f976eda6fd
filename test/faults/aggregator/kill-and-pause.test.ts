// Goal: the number of sent events, of distinct stored ids and of events in the totals of every level is equal, although
// aggregators are killed and paused at random. Method: two aggregator processes of one consumer group under steady
// load, with seeded faults. Some pauses are longer than the session timeout, so that a process resumes with a batch of
// events whose partitions belong to the other process.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startServices } from '../../support/services.ts';
import type { RunningService } from '../../support/services.ts';
import { eventually, servers } from '../../support/servers.ts';
import { allEqual, counts, createFixture } from '../../integration/aggregator/fixture.ts';
import { requestEvent } from '../../integration/aggregator/events.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const seed = Number(process.env['SEED'] ?? 20261121);
const faultCount = long ? 100 : 6;
const eventsPerSecond = 1_000;
const batchIntervalMs = 50;

test(
  `no event is lost or counted twice through ${faultCount} kills and pauses of aggregators (seed ${seed})`,
  async () => {
    const fixture = await createFixture();
    const environment = {
      KAFKA_BROKERS: servers().kafkaBrokers,
      CLICKHOUSE_URL: servers().clickhouseUrl,
      CLICKHOUSE_DATABASE: fixture.database,
      TOLLGATE_TOPIC_PREFIX: fixture.topics.usage.replace('usage.v1', ''),
      LOG_LEVEL: 'warn',
    };
    const installations = await Promise.all([
      startServices(['aggregator'], environment),
      startServices(['aggregator'], environment),
    ]);
    const services = installations.map((installation) => installation.service('aggregator'));
    const recoveries: Promise<void>[] = [];
    const load = startLoad((records) => fixture.produce(records));
    try {
      const [faults] = fc.sample(fc.array(fault, { minLength: faultCount, maxLength: faultCount }), {
        seed,
        numRuns: 1,
      });
      // The last fault is always `zombie`, the hardest kind, even if the run has only a few faults.
      const planned = [...(faults ?? []).slice(1), { kind: 'zombie' as const, which: 0, ms: 0 }];
      for (const { kind, which, ms } of planned) {
        await pause(ms % 700);
        await recoveries[which];
        recoveries[which] = strike(services[which]!, kind, ms);
        if (kind !== 'kill') await recoveries[which];
      }
      await Promise.all(recoveries);
      const sent = await load.stop();
      await eventually(
        async () => {
          const row = await counts(fixture.clickhouse);
          expect(allEqual(row, sent), `${JSON.stringify(row)}, sent ${sent}`).toBe(true);
          return true;
        },
        // While a fault occurs every second, the two aggregators store few events. After the many faults of the long
        // form they need minutes for the backlog.
        { timeoutMs: long ? 400_000 : 60_000, intervalMs: 250 },
      );
    } finally {
      await load.stop();
      await Promise.all(installations.map((installation) => installation.stop()));
      await fixture.dispose();
    }
  },
  long ? 1_500_000 : 110_000,
);

const fault = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant('kill' as const) },
    { weight: 4, arbitrary: fc.constant('pause' as const) },
    { weight: 1, arbitrary: fc.constant('zombie' as const) },
  ),
  which: fc.nat({ max: 1 }),
  ms: fc.integer({ min: 100, max: 1_500 }),
});

/** Longer than the session timeout of 6 s: Kafka moves the partitions of the paused process to the other process. */
const zombieSleepMs = 8_000;

async function strike(service: RunningService, kind: 'kill' | 'pause' | 'zombie', ms: number): Promise<void> {
  if (kind === 'kill') {
    await service.kill();
    await service.restart();
    return;
  }
  service.pause();
  await pause(kind === 'zombie' ? zombieSleepMs : ms);
  service.resume();
}

/** A steady load of distinct events, of which a tenth is sent twice. */
function startLoad(produce: (records: { tenant: string; value: unknown }[]) => Promise<void>): {
  stop: () => Promise<number>;
} {
  let sent = 0;
  const stopping = new AbortController();
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const records = Array.from({ length: (eventsPerSecond * batchIntervalMs) / 1000 }, () => {
        sent += 1;
        const tenant = `tenant-${sent % 20}`;
        return { tenant, value: requestEvent(tenant, { data: { sequence: sent } }) };
      });
      await produce([...records, ...records.slice(0, 5)]);
      await pause(batchIntervalMs);
    }
  })();
  return {
    async stop() {
      stopping.abort();
      await running;
      return sent;
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
