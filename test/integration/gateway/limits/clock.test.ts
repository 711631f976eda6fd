// Goal: a gateway or an aggregator with a wrong clock reports it, and its decisions and events have the right time.
// Method: real services with a settable wall clock on the shared servers, whose clocks agree.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clockErrorsMs } from '../../../faults/clocks/faults.ts';
import { createSettableClock } from '../../../faults/clocks/set-clock.ts';
import type { SettableClock } from '../../../faults/clocks/set-clock.ts';
import { runPolicy } from '../../../support/policy-run.ts';
import type { PolicyRun } from '../../../support/policy-run.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';

const minuteMs = 60_000;
/** How far the time of an event may be off. Every wrong clock of this file is off by more. */
const toleranceMs = 3_000;

let gatewayClock: SettableClock;
let aggregatorClock: SettableClock;
let run: PolicyRun;

beforeAll(async () => {
  gatewayClock = await createSettableClock(-15 * minuteMs);
  aggregatorClock = await createSettableClock(-120 * minuteMs);
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator'],
    envOf: { gateway: gatewayClock.env, aggregator: aggregatorClock.env },
  });
});
afterAll(async () => {
  await run.stop();
  gatewayClock.dispose();
  aggregatorClock.dispose();
});

/** Waits until the only event of a tenant is stored. Resolves with the time of it by the stored row. */
async function storedTimeMs(tenant: string): Promise<number> {
  const row = await eventually(
    async () =>
      (
        await run.clickhouse.query<{ at_ms: number }>(
          'SELECT toUnixTimestamp64Milli(time) AS at_ms FROM usage_events WHERE tenant_id = {tenant:String}',
          { tenant },
        )
      )[0],
    { intervalMs: 100 },
  );
  return row.at_ms;
}

async function readiness(
  name: 'gateway' | 'aggregator',
): Promise<{ status: number; notes: readonly string[] }> {
  const answer = await fetch(`${run.installation.service(name).opsUrl}/readyz`);
  const { notes = [] } = (await answer.json()) as { readonly notes?: readonly string[] };
  return { status: answer.status, notes };
}

async function differenceSeconds(name: 'gateway' | 'aggregator', clock: string): Promise<number> {
  const text = await (await fetch(`${run.installation.service(name).opsUrl}/metrics`)).text();
  const found = new RegExp(
    `^tollgate_clock_difference_seconds\\{[^}]*clock="${clock}"[^}]*\\} (\\S+)`,
    'm',
  ).exec(text);
  return Number(found?.[1]);
}

interface Call {
  readonly tenant: string;
  readonly beganMs: number;
  readonly endedMs: number;
}

async function call(tenant: string): Promise<Call> {
  const token = await run.token({ tenant_id: tenant });
  const beganMs = Date.now();
  expect((await run.call('GET /things', { token })).status).toBe(200);
  return { tenant, beganMs, endedMs: Date.now() };
}

/** Waits until the event of a call is stored, and expects that its time is one at which the call ran. */
async function expectRightTime({ tenant, beganMs, endedMs }: Call): Promise<void> {
  const atMs = await storedTimeMs(tenant);
  expect(atMs).toBeGreaterThan(beganMs - toleranceMs);
  expect(atMs).toBeLessThan(endedMs + toleranceMs);
}

test('a gateway that starts 15 minutes behind decides and writes by the right time, and reports its wrong clock', async () => {
  await expectRightTime(await call(uniqueName('behind')));
  // ClickHouse can be queried once the aggregator has created the database.
  const isReported = /node is -(899|900|901) s off.*redis and kafka and clickhouse/;
  const { status } = await eventually(async () => {
    const now = await readiness('gateway');
    return isReported.test(now.notes.join()) ? now : null;
  });
  expect(status).toBe(200);
  expect(Math.round((await differenceSeconds('gateway', 'node')) / 10)).toBe(-90);
  const lines = run.installation.service('gateway').log().split('\n');
  expect(lines.filter((line) => line.includes('clocks: node is'))).toHaveLength(1);
});

test('an aggregator that is two hours behind treats no event as one of the future', async () => {
  const isReported = /node is -7\d+ s off.*kafka and clickhouse/;
  await expect.poll(async () => (await readiness('aggregator')).notes.join()).toMatch(isReported);
  await expectRightTime(await call(uniqueName('judged')));
});

test.each([...clockErrorsMs, 0])(
  'a clock that is set by %i ms while the gateway runs changes no time of an event',
  async (aheadMs) => {
    gatewayClock.set(aheadMs);
    const calls: Call[] = [];
    while (calls.length < 5) calls.push(await call(uniqueName('set')));
    for (const each of calls) await expectRightTime(each);
    await eventually(async () => (await readiness('gateway')).notes.length === (aheadMs === 0 ? 0 : 1));
    await expectRightTime(await call(uniqueName('later')));
  },
);
