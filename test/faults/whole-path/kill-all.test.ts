/**
 * Goal: if the complete installation crashes, no event is lost whose response a client received. Method: under a steady
 * load, SIGKILL gateway, aggregator, reconciler, Redis, Kafka and ClickHouse at the same moment, start them again, and
 * repeat; then compare the responses with the stored events.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/servers.ts';
import type { Installation } from '../../support/services.ts';
import { makeFixture, settled } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { startLoad } from './load.ts';

const crashes = process.env['TOLLGATE_FAULTS'] === 'long' ? 50 : 2;
const responsesBetween = 60;

let fixture: Fixture;

beforeAll(async () => {
  fixture = await makeFixture();
});

afterAll(() => fixture.dispose());

test.for(['process', 'power'])(
  `no event is lost or counted twice when all processes are killed at once, ${crashes} times, with durability %s`,
  { timeout: 180_000 + crashes * 30_000 },
  async (durability) => {
    const { installation, database } = await fixture.install({ TOLLGATE_DURABILITY: durability });
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret: fixture.jwtSecret,
      tenants: ['free-a', 'big-a', 'big-b'],
      requestsPerSecond: 150,
    });
    try {
      for (let crash = 0; crash < crashes; crash += 1) {
        const before = ledger.responses();
        await eventually(() => ledger.responses() >= before + responsesBetween, { timeoutMs: 60_000 });
        await killAll(installation);
        await startAll(installation);
      }
      await ledger.stop();
      const verdict = await settled(fixture.clickhouse.url, database, ledger);
      console.log(
        `${durability}: ${ledger.responses()} responses, ${ledger.unanswered()} unanswered, ${verdict.stored} events`,
      );
      expect(ledger.strange()).toEqual([]);
      expect(verdict.broken).toEqual([]);
      expect(ledger.responses()).toBeGreaterThanOrEqual(crashes * responsesBetween);
    } finally {
      await ledger.stop().catch(() => undefined);
      await installation.stop();
    }
  },
);

async function killAll(installation: Installation): Promise<void> {
  await Promise.all([
    installation.service('gateway').kill(),
    installation.service('aggregator').kill(),
    installation.service('reconciler').kill(),
    fixture.redis.kill(),
    fixture.kafka.kill(),
    fixture.clickhouse.kill(),
  ]);
}

/** Starts all processes at the same time, as after a reboot of a machine: services wait for their servers. */
async function startAll(installation: Installation): Promise<void> {
  await Promise.all([
    fixture.redis.restart(),
    fixture.kafka.restart(),
    fixture.clickhouse.restart(),
    installation.service('gateway').restart(),
    installation.service('aggregator').restart(),
    installation.service('reconciler').restart(),
  ]);
}
