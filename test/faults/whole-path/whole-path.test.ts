/**
 * Goal: every response that a client received is exactly one event in ClickHouse and in every total, whatever died.
 * Method: the real gateway and aggregator on servers of their own, a steady load, faults at seeded random moments;
 * then the load ends, everything settles, and what clients saw is compared with what is stored.
 */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/servers.ts';
import { makeBed, settled } from './bed.ts';
import type { Bed } from './bed.ts';
import { faultNames, inject, passing, seeded } from './faults.ts';
import type { Targets } from './faults.ts';
import { checkInvariants } from './invariants.ts';
import { startLoad } from './load.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const faultCount = Number(process.env['TOLLGATE_FAULT_COUNT'] ?? (long ? 120 : 12));
const seed = Number(process.env['TOLLGATE_SEED'] ?? randomBytes(4).readUInt32LE());

let bed: Bed;

beforeAll(async () => {
  bed = await makeBed();
});

afterAll(() => bed.dispose());

test(
  `nothing is lost and nothing counted twice through ${faultCount} faults`,
  { timeout: 240_000 + faultCount * 30_000 },
  async () => {
    console.log(`seed ${seed}: repeat with TOLLGATE_SEED=${seed}`);
    const random = seeded(seed);
    const { installation, database } = await bed.install();
    const targets: Targets = { installation, ...bed };
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret: bed.jwtSecret,
      tenants: ['free-a', 'free-b', 'big-a', 'big-b', 'big-c'],
      requestsPerSecond: 150,
    });
    try {
      for (const fault of schedule(faultCount, random)) {
        await passing(200 + random() * 1_300);
        const downMs = Math.round(100 + random() * (long ? 4_000 : 1_500));
        console.log(`${fault} for ${downMs} ms`);
        await inject(fault, downMs, targets);
      }
      await passing(1_000);
      await ledger.stop();
      const verdict = await settled(bed.clickhouse.url, database, ledger);
      console.log(
        `${ledger.responses()} responses, ${ledger.unanswered()} unanswered, ${verdict.stored} events`,
      );
      expect(ledger.strange()).toEqual([]);
      expect(verdict.broken).toEqual([]);
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
    const { installation, database } = await bed.install();
    const ledger = await startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret: bed.jwtSecret,
      tenants: ['big-a'],
      requestsPerSecond: 100,
    });
    try {
      await eventually(() => ledger.responses() > 50);
      bed.kafka.pause();
      const before = ledger.responses();
      await eventually(() => ledger.responses() > before + 50);
      await installation.service('gateway').kill();
      await ledger.stop();
      await rm(installation.env['TOLLGATE_SPOOL_DIR'] ?? '', { recursive: true, force: true });
      bed.kafka.resume();
      await installation.service('gateway').restart();
      const verdict = await eventually(async () => {
        const now = await checkInvariants(bed.clickhouse.url, database, ledger);
        return now.stored > 0 ? now : null;
      });
      expect(verdict.broken.join('\n')).toMatch(/have no event/);
    } finally {
      bed.kafka.resume();
      await ledger.stop().catch(() => undefined);
      await installation.stop();
    }
  },
);

/** Every kind of fault equally often, in random order. */
function schedule(count: number, random: () => number): (typeof faultNames)[number][] {
  return Array.from({ length: count }, (_, index) => ({
    fault: faultNames[index % faultNames.length] ?? 'kill gateway',
    at: random(),
  }))
    .sort((a, b) => a.at - b.at)
    .map(({ fault }) => fault);
}
