/**
 * Goal: a budget of money holds, and every call is charged exactly what the upstream generated, although a gateway and
 * Redis are killed while calls are in flight. Method: many more streams than the budget allows begin at the same time at
 * two gateways; one gateway and Redis are killed in the middle; then the stored amounts are compared with the journal of
 * the upstream, call by call.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JournalEntry } from '../../../dev/sample/ai/journal.ts';
import { moneyText, readMoney } from '../../../shared/domain/money.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { untilSpoolStores } from '../../support/spool.ts';
import { passing, seeded } from '../whole-path/faults.ts';
import { largestCharged } from './bounds.ts';
import { startBudgets } from './installation.ts';
import type { BudgetInstallation } from './installation.ts';
import { lateSettlement } from './late-settlement.ts';
import { differences, storedCalls, totalsOf, usageOfEntry } from './stored-calls.ts';
import type { StoredCall } from './stored-calls.ts';
import { startStreams } from './streams.ts';
import type { Streams } from './streams.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const [clients, budgetCalls] = long ? [200, 50] : [40, 10];
const seed = Number(process.env['TOLLGATE_SEED'] ?? Date.now() % 1_000_000);
const storedTimeoutMs = 60_000;

let installation: BudgetInstallation;

beforeAll(async () => {
  installation = await startBudgets(budgetCalls);
});

afterAll(() => installation.stop());

test(
  `C1: ${clients} streams share a budget of ${budgetCalls} calls, which holds and is exact after a gateway and Redis were killed (seed ${seed})`,
  { timeout: 240_000 },
  async () => {
    const tenant = uniqueName('free');
    const streams = await startStreams(installation, { tenant, count: clients, seed });
    await killInTheMiddle(streams);
    await eventually(() => streams.ended(), { timeoutMs: 90_000 });
    await streams.close();

    const journal = await journalOf(streams);
    const before = await untilStored(tenant, journal);
    const records = await recordsInRedis();
    const open = before.filter(({ reservation }) => reservation === 'open');
    expect(
      differences(journal, before)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(
      open
        .map(({ id }) => id)
        .filter((id) => journal.has(id))
        .toSorted(),
    );
    expect(open.length).toBeGreaterThan(0);
    for (const call of open) expect(call).toMatchObject({ node: 'second', usd: call.reservedUsd });
    expectBudgetHeld(streams, journal, before, records);

    const unrecorded = await settleLate(tenant, open, journal, records);
    await expectEqual(tenant, journal, unrecorded);
    await expectControl(tenant, open, journal);
  },
);

/** Kills Redis and the second gateway at moments of the seed, and lets refused clients try again after each fault. */
async function killInTheMiddle(streams: Streams): Promise<void> {
  const random = seeded(seed + 1);
  const { redis, gateways } = installation;
  const admittedFirst = Math.ceil(budgetCalls * (0.4 + 0.5 * random()));
  const isRedisFirst = random() < 0.5;
  const gapMs = Math.floor(random() * 600);
  const downMs = 300 + Math.floor(random() * 600);
  await eventually(() => streams.admitted() >= admittedFirst, {
    timeoutMs: 30_000,
    intervalMs: 2,
  });
  const faults = [
    async (): Promise<void> => {
      await redis.kill();
      await passing(downMs);
      streams.repeatRefused();
      await redis.restart();
      streams.repeatRefused();
    },
    async (): Promise<void> => {
      await untilSpoolStores(gateways[1]?.service.opsUrl ?? '');
      await gateways[1]?.service.kill();
      streams.repeatRefused();
    },
  ];
  if (!isRedisFirst) faults.reverse();
  const running = faults.map(async (fault, index) => {
    await passing(index * gapMs);
    await fault();
  });
  await Promise.all(running);
  await gateways[1]?.service.restart();
  streams.repeatRefused();
  console.log(
    `${isRedisFirst ? 'Redis' : 'gateway'} killed after ${admittedFirst} admitted calls, the other ${gapMs} ms later; Redis away for ${downMs} ms`,
  );
}

/** The calls that the sample API generated, by decision, when all of them have ended. */
async function journalOf(streams: Streams): Promise<Map<string, JournalEntry>> {
  const entries = await eventually(async () => {
    const all = await installation.sampleApi.calls({ model: 'small-1' });
    return all.every(({ outcome }) => outcome !== 'open') ? all : null;
  });
  const journal = new Map(entries.map((entry) => [entry.decision ?? '', entry]));
  const admitted = streams.calls.filter(({ outcome }) => outcome === 'admitted');
  expect(admitted.filter(({ decision }) => !journal.has(decision))).toEqual([]);
  expect(streams.calls.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  return journal;
}

/** The stored calls, when every generated call has an event, and only calls of the killed gateway are open and expired. */
function untilStored(tenant: string, journal: ReadonlyMap<string, JournalEntry>): Promise<StoredCall[]> {
  return eventually(
    async () => {
      const stored = await storedCalls(installation.clickhouse, tenant);
      const ids = new Set(stored.map(({ id }) => id));
      const missing = [...journal.keys()].filter((id) => !ids.has(id));
      const unsettled = stored.filter(
        ({ reservation, node, expired }) => reservation === 'open' && (node !== 'second' || !expired),
      );
      if (missing.length > 0 || unsettled.length > 0)
        throw new Error(`${missing.length} calls have no event, ${unsettled.length} are not settled`);
      return stored;
    },
    { timeoutMs: storedTimeoutMs, intervalMs: 200 },
  );
}

/** Ids of the reservations of which Redis has a record. */
async function recordsInRedis(): Promise<ReadonlySet<string>> {
  const redis = new Redis(installation.redis.url);
  try {
    const keys = await redis.keys('*:r:*');
    return new Set(keys.map((key) => key.slice(key.lastIndexOf(':') + 1)));
  } finally {
    redis.disconnect();
  }
}

/** By reserved amounts, never more than the budget is admitted; calls in flight exceed it by what they use beyond their reservations. */
function expectBudgetHeld(
  streams: Streams,
  journal: ReadonlyMap<string, JournalEntry>,
  stored: readonly StoredCall[],
  records: ReadonlySet<string>,
): void {
  const { budget, reserved } = installation;
  const degraded = new Set(stored.filter((call) => call.degraded).map(({ id }) => id));
  const actual = (id: string): number => {
    const entry = journal.get(id);
    return entry === undefined ? 0 : Number(usageOfEntry(entry).usdMillionths);
  };
  const charged = streams.calls
    .filter(({ outcome, decision }) => outcome === 'admitted' && !degraded.has(decision))
    .map(({ decision, headAtMs, endAtMs }) => ({ decision, headAtMs, endAtMs, actual: actual(decision) }));
  const lost = charged.filter(({ decision }) => !records.has(decision)).length;
  const { admitted, used } = largestCharged(charged, reserved);
  const beyond = charged.reduce((all, call) => all + Math.max(0, call.actual - reserved), 0);
  const count = (outcome: string): number => streams.calls.filter((call) => call.outcome === outcome).length;
  console.log(
    `admitted ${count('admitted')} (${degraded.size} without Redis), refusals ${count('refused')}; largest reserved ` +
      `${admitted} of ${budget}, overshoot ${Math.max(0, used - budget)} of at most ${beyond}; ` +
      `records lost by Redis ${lost}; generated calls ${journal.size}`,
  );
  expect(admitted).toBeLessThanOrEqual(budget + lost * reserved);
  expect(used).toBeLessThanOrEqual(budget + beyond + lost * reserved);
  expect(degraded.size * reserved).toBeLessThanOrEqual(budget);
}

/**
 * Settles each open call twice with the figures of the journal. Returns the ids of the calls without a record in Redis:
 * their events are settled, and Redis does not count them.
 */
async function settleLate(
  tenant: string,
  open: readonly StoredCall[],
  journal: ReadonlyMap<string, JournalEntry>,
  records: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const late = lateSettlement(installation, tenant);
  const unrecorded = new Set<string>();
  for (const { id } of open) {
    const entry = journal.get(id);
    const change = (): Promise<number> => (entry === undefined ? late.cancel(id) : late.settle(entry));
    const statuses = [await change(), await change()];
    expect(statuses).toEqual([200, 200]);
    if (!records.has(id)) unrecorded.add(id);
  }
  console.log(`${open.length} calls of the killed gateway, ${unrecorded.size} of them without a record`);
  return unrecorded;
}

/** Every call and every total equals the journal, to the last decimal. */
async function expectEqual(
  tenant: string,
  journal: ReadonlyMap<string, JournalEntry>,
  unrecorded: ReadonlySet<string>,
): Promise<void> {
  const { clickhouse } = installation;
  const stored = await eventually(
    async () => {
      const calls = await storedCalls(clickhouse, tenant);
      expect(differences(journal, calls)).toEqual([]);
      return calls;
    },
    { timeoutMs: storedTimeoutMs },
  );
  const sum = (textOf: (call: StoredCall) => string): string => sumOf(stored, textOf);
  const expected = `${sum(({ cost }) => cost)} ${sum(({ usd }) => usd)} ${sum(({ tokens }) => tokens)}`;
  for (const view of ['usage_by_minute', 'usage_by_hour', 'usage_by_day'] as const) {
    await eventually(async () => (await totalsOf(clickhouse, view, tenant)) === expected, {
      timeoutMs: storedTimeoutMs,
    });
  }
  const recorded = stored.filter(({ id }) => !unrecorded.has(id));
  const used = Number(sumOf(recorded, ({ usd }) => usd)) * 1_000_000;
  const left = (await remainingUsd(tenant)) * 1_000_000;
  const budgetLeft = Math.max(0, Math.round(installation.budget - used));
  console.log(`Redis has ${Math.round(left)} left, by the stored events ${budgetLeft}`);
  expect(Math.round(left)).toBeLessThanOrEqual(budgetLeft);
}

function sumOf(stored: readonly StoredCall[], textOf: (call: StoredCall) => string): string {
  return moneyText(stored.reduce((all, call) => all + (readMoney(textOf(call)) ?? 0n), 0n));
}

/** What Redis has left of the tenant's budget. */
async function remainingUsd(tenant: string): Promise<number> {
  const { gateways, serviceToken } = installation;
  const response = await fetch(`${gateways[0]?.urls.api ?? ''}/v1/usage?tenant_id=${tenant}`, {
    headers: { 'x-service-token': serviceToken },
  });
  const { limits } = (await response.json()) as { limits: { name: string; remaining: number }[] };
  const spend = limits.find(({ name }) => name === 'spend');
  if (spend === undefined) throw new Error(`the usage of ${tenant} has no budget`);
  return spend.remaining;
}

/** A settlement with other figures than the journal's must appear as a difference: otherwise the comparison shows nothing. */
async function expectControl(
  tenant: string,
  open: readonly StoredCall[],
  journal: ReadonlyMap<string, JournalEntry>,
): Promise<void> {
  const entry = open.flatMap(({ id }) => journal.get(id) ?? [])[0];
  if (entry === undefined) return;
  const id = entry.decision ?? '';
  expect(await lateSettlement(installation, tenant).settle(entry, { outputTokens: 1 })).toBe(200);
  await eventually(async () => {
    const found = differences(journal, await storedCalls(installation.clickhouse, tenant));
    return found.some((difference) => difference.id === id);
  });
}
