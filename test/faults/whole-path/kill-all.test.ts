/**
 * Goal: if the complete installation crashes, no event is lost whose response a client received. Method: under a steady
 * load, SIGKILL gateway, aggregator, reconciler, Redis, Kafka and ClickHouse at the same moment, start them again, and
 * repeat; then compare the responses with the stored events. One installation for each durability shares the servers.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../support/servers.ts';
import type { Installation, RunningService } from '../../support/services.ts';
import { untilSpoolStores } from '../../support/spool.ts';
import { makeFixture, settled } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { startLoad } from './load.ts';
import type { Ledger } from './load.ts';

const crashes = process.env['TOLLGATE_FAULTS'] === 'long' ? 50 : 2;
const responsesBetween = 60;

let fixture: Fixture;

beforeAll(async () => {
  fixture = await makeFixture();
});

afterAll(() => fixture.dispose());

const durabilities = ['process', 'power'] as const;

test(
  `no event is lost or counted twice when all processes are killed at once, ${crashes} times, with each durability`,
  { timeout: 240_000 + crashes * 60_000 },
  async () => {
    const runs: Run[] = [];
    try {
      runs.push(...(await Promise.all(durabilities.map(startRun))));
      const installations = runs.map(({ installation }) => installation);
      for (let crash = 0; crash < crashes; crash += 1) {
        await Promise.all(runs.map(({ ledger }) => moreResponses(ledger)));
        await killAll(installations);
        await startAll(installations);
      }
      await Promise.all(runs.map(({ ledger }) => ledger.stop()));
      await Promise.all(runs.map(checkRun));
    } finally {
      await Promise.all(runs.map(({ ledger }) => ledger.stop().catch(() => undefined)));
      await Promise.all(runs.map(({ installation }) => installation.stop()));
    }
  },
);

async function checkRun({ durability, database, ledger }: Run): Promise<void> {
  const verdict = await settled(fixture.clickhouse.url, database, ledger);
  console.log(
    `${durability}: ${ledger.responses()} responses, ${ledger.unanswered()} unanswered, ${verdict.stored} events`,
  );
  expect(ledger.strange(), durability).toEqual([]);
  expect(verdict.broken, durability).toEqual([]);
  expect(ledger.responses()).toBeGreaterThanOrEqual(crashes * responsesBetween);
}

/** An installation on the common servers, with a load. */
interface Run {
  readonly durability: string;
  readonly installation: Installation;
  readonly database: string;
  readonly ledger: Ledger;
}

async function startRun(durability: string): Promise<Run> {
  const { installation, database } = await fixture.install({ TOLLGATE_DURABILITY: durability });
  const ledger = await startLoad({
    gatewayUrl: installation.urls.gateway,
    jwtSecret: fixture.jwtSecret,
    tenants: ['free-a', 'big-a', 'big-b'],
    requestsPerSecond: 100,
  });
  return { durability, installation, database, ledger };
}

async function moreResponses(ledger: Ledger): Promise<void> {
  const before = ledger.responses();
  await eventually(() => ledger.responses() >= before + responsesBetween, { timeoutMs: 60_000 });
}

const names = ['gateway', 'aggregator', 'reconciler'] as const;

const servicesOf = (installations: readonly Installation[]): RunningService[] =>
  installations.flatMap((installation) => names.map((name) => installation.service(name)));

async function killAll(installations: readonly Installation[]): Promise<void> {
  await Promise.all(installations.map((one) => untilSpoolStores(one.service('gateway').opsUrl)));
  await Promise.all([
    ...servicesOf(installations).map((service) => service.kill()),
    fixture.redis.kill(),
    fixture.kafka.kill(),
    fixture.clickhouse.kill(),
  ]);
}

/** Starts all processes at the same time, as after a reboot of a machine: services wait for their servers. */
async function startAll(installations: readonly Installation[]): Promise<void> {
  await Promise.all([
    fixture.redis.restart(),
    fixture.kafka.restart(),
    fixture.clickhouse.restart(),
    ...servicesOf(installations).map((service) => service.restart()),
  ]);
}
