import { setImmediate as nextIteration } from 'node:timers/promises';
import type { ClickHouseReader } from '../clickhouse/client.ts';
import type { RecordedEvent, TimeRange } from '../clickhouse/queries/recorded/recorded-events.ts';
import { heartbeatTenant } from '../domain/identity.ts';
import type { Policy } from '../domain/policy.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import { assumptionsOf } from './assumptions.ts';
import { divideRange, readInOrder } from './read-in-order.ts';
import { RecordedRoutes } from './replay/recorded-routes.ts';
import { Replay } from './replay/replay.ts';
import type { ReplayedDecision } from './replay/replay.ts';
import type { BacktestResult } from './result.ts';
import { Tally } from './tally.ts';
import { allLimits, quotaFields, readUsageParts, warmUpOf } from './warm-up.ts';

export interface BacktestRequest extends TimeRange {
  readonly policy: Policy;
  /** The policy in force. It is replayed too, so that the result states how exactly the replay reproduces the record. */
  readonly inForce: Policy;
  /** Null: all tenants. Limits that tenants share are then computed from the requests of this tenant only. */
  readonly tenantId: string | null;
}

export interface BacktestOptions {
  readonly clickhouse: ClickHouseReader;
  /** The record of a tenant; null if it has none. */
  readonly recordOf: (tenantId: string) => TenantRecord | null;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BacktestProgress) => void;
  /** Called with each event of the range and its decisions. */
  readonly onDecided?: (event: RecordedEvent, decided: DecidedEvent) => void;
  /** Largest number of entries of all windows of a policy in memory. */
  readonly entriesMax?: number;
}

export interface BacktestProgress {
  readonly events: number;
  /** Rows to read; a little more than `events` at the end, if events were corrected. */
  readonly total: number;
}

export interface DecidedEvent {
  readonly proposed: ReplayedDecision;
  readonly inForce: ReplayedDecision;
}

/** Longest time without an event-loop iteration while events are decided. */
const sliceMs = 8;
const eventsPerCheck = 64;
const sweepIntervalMs = 60_000;
/** About 80 bytes each. */
const entriesMaxDefault = 3_000_000;

/**
 * Decides the recorded requests of a range again, under a proposed policy and under the policy in force, and compares the
 * decisions with the recorded ones. Reads the events in slices and yields to the event loop, so that the process stays responsive.
 * Rejects if ClickHouse fails, and with the reason of `signal` if it is aborted.
 */
export async function runBacktest(
  request: BacktestRequest,
  options: BacktestOptions,
): Promise<BacktestResult> {
  const startedAt = performance.now();
  const { policy, inForce, fromMs, toMs, tenantId } = request;
  const { clickhouse, signal, entriesMax = entriesMaxDefault } = options;
  const recordedRoutes = new RecordedRoutes(inForce);
  const replayOf = (of: Policy): Replay =>
    new Replay({ policy: of, recordedRoutes, recordOf: options.recordOf, entriesMax });
  const proposed = replayOf(policy);
  const control = policy === inForce ? proposed : replayOf(inForce);
  const replays = control === proposed ? [proposed] : [proposed, control];
  const tally = new Tally({ policy, inForce, recordedRoutes });
  const warmUp = warmUpOf([policy, inForce]);
  const slices = createSlices(signal);
  const groups = await chargeQuotas();
  const { ranges, rows } = await divideRange(
    clickhouse,
    { fromMs: fromMs - warmUp.slidingMs, toMs, tenantId },
    signal,
  );
  let [events, warmUpEvents, sweepAtMs] = [0, 0, 0];
  for await (const page of readInOrder(clickhouse, ranges, tenantId, signal)) {
    for (const event of page) {
      const pause = slices.next();
      if (pause !== undefined) await pause;
      handle(event);
    }
    options.onProgress?.({ events, total: Math.max(rows, events) });
  }
  const facts = {
    policy,
    limits: allLimits(policy),
    kept: tally.kept,
    degraded: tally.degraded,
    withoutTime: tally.withoutTime,
    ofOtherRevisions: tally.ofOtherRevisions,
    isWarmUpCut: warmUp.isCut,
    isMerged: replays.some(({ isMerged }) => isMerged),
    ofOneTenant: tenantId !== null,
  };
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    tenant_id: tenantId,
    policy_revision: policy.revision,
    revision_in_force: inForce.revision,
    ...tally.figures(),
    assumptions: assumptionsOf(facts),
    read: {
      events,
      warm_up_events: warmUpEvents,
      warm_up_groups: groups,
      seconds: Math.round(performance.now() - startedAt) / 1000,
    },
  };

  function handle(event: RecordedEvent): void {
    events += 1;
    if (event.tenantId === heartbeatTenant) return;
    if (event.decidedAtMs >= sweepAtMs) {
      for (const replay of replays) replay.sweep(event.decidedAtMs);
      sweepAtMs = event.decidedAtMs + sweepIntervalMs;
    }
    if (event.timeMs < fromMs) {
      warmUpEvents += 1;
      if (event.kind === 'request') for (const replay of replays) replay.chargePassed(event, 'sliding');
    } else if (event.kind === 'usage') {
      for (const replay of replays) replay.chargeUsage(event);
    } else {
      const ofProposed = proposed.decide(event);
      const ofControl = control === proposed ? ofProposed : control.decide(event);
      tally.add(event, ofProposed, ofControl);
      options.onDecided?.(event, { proposed: ofProposed, inForce: ofControl });
    }
  }

  async function chargeQuotas(): Promise<number> {
    let count = 0;
    const fields = quotaFields([policy, inForce]);
    const before = { fromMs: fromMs - warmUp.quotaMs, toMs: fromMs, tenantId, fields };
    for await (const part of readUsageParts(clickhouse, before, signal)) {
      for (const { event, requests } of part) {
        const pause = slices.next();
        if (pause !== undefined) await pause;
        count += 1;
        for (const replay of replays) {
          if (event.kind === 'usage') replay.chargeUsage(event, requests);
          else replay.chargePassed(event, 'quota', requests);
        }
      }
    }
    return count;
  }
}

interface Slices {
  /** Called before each event. Waits for an event-loop iteration if the last one was `sliceMs` ago. */
  next(): Promise<void> | undefined;
}

function createSlices(signal: AbortSignal | undefined): Slices {
  let [count, beganAt] = [0, performance.now()];
  return {
    next: () => {
      count += 1;
      if (count % eventsPerCheck !== 0 || performance.now() - beganAt < sliceMs) return undefined;
      signal?.throwIfAborted();
      return nextIteration().then(() => void (beganAt = performance.now()));
    },
  };
}
