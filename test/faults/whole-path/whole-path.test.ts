/**
 * Goal: whatever fails, every response that a client received is exactly one event in ClickHouse and in every total,
 * and every quota in Redis equals the units that ClickHouse counts. Method: the real gateway, aggregator and reconciler
 * run on separate servers and a separate disk, under a steady load, with faults at seeded random moments. Then the load
 * ends, the test waits until all events are processed, and compares the responses of clients with the stored events.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { eventually } from '../../support/servers.ts';
import type { Installation } from '../../support/services.ts';
import { mountExt4 } from '../disk.ts';
import { makeFixture, settled } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { checkCounters } from './counters.ts';
import { faultNames, inject, passing, seeded } from './faults.ts';
import type { Targets } from './faults.ts';
import { checkInvariants } from './invariants.ts';
import { startLoad } from './load.ts';
import type { Ledger } from './load.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const faultCount = Number(process.env['TOLLGATE_FAULT_COUNT'] ?? (long ? 440 : 22));
const seed = Number(process.env['TOLLGATE_SEED'] ?? randomBytes(4).readUInt32LE());

const spoolDiskBytes = 64 * 1024 * 1024;
const countersTimeoutMs = 30_000;

let fixture: Fixture;

beforeAll(async () => {
  fixture = await makeFixture();
});

afterAll(() => fixture.dispose());

test(
  `no event is lost or counted twice through ${faultCount} faults`,
  { timeout: 240_000 + faultCount * 30_000 },
  async () => {
    console.log(`seed ${seed}: repeat with TOLLGATE_SEED=${seed}`);
    const random = seeded(seed);
    const disk = await mountExt4({ bytes: spoolDiskBytes });
    onTestFinished(() => disk.dispose());
    const { installation, database, topics } = await fixture.install({ TOLLGATE_SPOOL_DIR: disk.path });
    const targets: Targets = { installation, ...fixture, disk, topic: topics.usage };
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret: fixture.jwtSecret,
      tenants: ['free-a', 'capped-a', 'capped-b', 'big-a', 'big-b'],
      requestsPerSecond: 150,
    });
    try {
      for (const fault of schedule(faultCount, random)) {
        await passing(100 + random() * 400);
        const downMs = Math.round(100 + random() * 1_500);
        console.log(`${fault} for ${downMs} ms`);
        await inject(fault, downMs, targets);
      }
      await passing(1_000);
      await ledger.stop();
      const verdict = await settled(fixture.clickhouse.url, database, ledger);
      const counters = await settledCounters(installation, database, ledger);
      console.log(
        `${ledger.responses()} responses, ${ledger.unanswered()} unanswered, ${verdict.stored} events`,
      );
      expect(ledger.strange()).toEqual([]);
      expect(verdict.broken).toEqual([]);
      expect(counters).toEqual([]);
      expect(ledger.responses()).toBeGreaterThan(faultCount * 20);
    } finally {
      await ledger.stop().catch(() => undefined);
      await installation.stop();
    }
  },
);

test(
  'the comparison sees a loss: a spool thrown away after a crash breaks it',
  { timeout: 180_000 },
  async () => {
    const { installation, database } = await fixture.install();
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret: fixture.jwtSecret,
      tenants: ['big-a'],
      requestsPerSecond: 100,
    });
    try {
      await eventually(() => ledger.responses() > 50);
      fixture.kafka.pause();
      const before = ledger.responses();
      await eventually(() => ledger.responses() > before + 50);
      await installation.service('gateway').kill();
      await ledger.stop();
      await rm(installation.env['TOLLGATE_SPOOL_DIR'] ?? '', { recursive: true, force: true });
      fixture.kafka.resume();
      await installation.service('gateway').restart();
      const verdict = await eventually(async () => {
        const now = await checkInvariants(fixture.clickhouse.url, database, ledger);
        return now.stored > 0 ? now : null;
      });
      expect(verdict.broken.join('\n')).toMatch(/have no event/);
    } finally {
      fixture.kafka.resume();
      await ledger.stop().catch(() => undefined);
      await installation.stop();
    }
  },
);

/** Compares the counters until there is no violation or the deadline has passed. Returns the last violations. */
async function settledCounters(
  { urls }: Installation,
  database: string,
  ledger: Ledger,
): Promise<readonly string[]> {
  const clickhouse = createClickHouse({ url: fixture.clickhouse.url, database });
  const at = { apiUrl: urls.api, jwtSecret: fixture.jwtSecret, clickhouse };
  const deadline = Date.now() + countersTimeoutMs;
  try {
    for (;;) {
      const broken = await checkCounters(at, ['capped-a', 'capped-b', 'big-a', 'big-b'], ledger.unanswered());
      if (broken.length === 0 || Date.now() > deadline) return broken;
      await passing(500);
    }
  } finally {
    await clickhouse.close();
  }
}

/** Draws every kind of fault equally often, in random order. */
function schedule(count: number, random: () => number): (typeof faultNames)[number][] {
  return Array.from({ length: count }, (_, index) => ({
    fault: faultNames[index % faultNames.length] ?? 'kill gateway',
    at: random(),
  }))
    .sort((a, b) => a.at - b.at)
    .map(({ fault }) => fault);
}
