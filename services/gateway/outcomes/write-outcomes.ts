import { uuidTimeMs } from '../../../shared/runtime/uuid-time.ts';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import type { CorrectionData } from '../../../shared/domain/events/correction.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { EventLog } from '../metering/meter.ts';
import type { CheckedDecision } from './checked-decisions.ts';
import type { FoundDecisions } from './find-decisions.ts';

/** Status and latency of a request that an application responded to. */
export interface Outcome {
  /** The decision's id, in lower case. */
  readonly id: string;
  readonly status: number;
  readonly latencyMs: number;
}

export type OutcomeStatus = 'accepted' | 'unknown' | 'expired' | 'unavailable';

export const outcomeHoursMax = 24;
const outcomeMsMax = outcomeHoursMax * 3_600_000;

/** True if a decision is too old for an outcome. The time is part of the decision id, so no lookup is needed. */
export function isExpired(id: string, nowMs: number): boolean {
  const atMs = uuidTimeMs(id);
  return atMs !== null && atMs < nowMs - outcomeMsMax;
}

export interface OutcomeWriting {
  readonly enforcer: Enforcer;
  readonly events: EventLog;
  /**
   * True if the outcomes come from a service. Only a service's outcomes give units back: a tenant has its decision ids too,
   * and could free itself from its limits by reporting failures.
   */
  readonly isTrusted: boolean;
  /** True if events survive a crash of this process after `flushed()` resolved. */
  readonly isDurable: () => boolean;
}

/**
 * Writes outcomes of the caller's own decisions to the spool, as corrections of the decisions' events. Resolves when
 * the corrections survive a crash of this process. If the spool's disk fails during the write, no outcome is accepted,
 * because a crash could lose it.
 *
 * In Kafka or ClickHouse, a correction always comes after its event. Either this node wrote the event before it
 * responded to the application, and spool and Kafka keep the order; or ClickHouse already has the event. If the policy
 * does not charge the status of an outcome, the decision's units are returned once and its event gets none. An outcome
 * that this node wrote before is accepted without a second write. If another node writes the same outcome again, the
 * same values are stored again.
 */
export async function writeOutcomes(
  outcomes: readonly Outcome[],
  found: FoundDecisions,
  { enforcer, events, isTrusted, isDurable }: OutcomeWriting,
): Promise<OutcomeStatus[]> {
  const returns: Promise<void>[] = [];
  const statuses = outcomes.map((outcome): OutcomeStatus => {
    if (isExpired(outcome.id, enforcer.clock.now())) return 'expired';
    if (found.unread.has(outcome.id)) return 'unavailable';
    const decision = found.own.get(outcome.id);
    if (decision === undefined) return 'unknown';
    const result = `${outcome.status} ${outcome.latencyMs}`;
    if (enforcer.checked.isReported(decision.id, result)) return 'accepted';
    const charge =
      isTrusted && decision.charge?.unlessStatus.has(outcome.status) === true ? decision.charge : null;
    try {
      events.append(() =>
        eventOf(decision, outcome, charge !== null, `tollgate/${enforcer.node}`, enforcer.clock.now()),
      );
    } catch (error) {
      enforcer.logger.error(
        { err: error, decision: decision.id },
        `outcome not written to the spool: ${messageOf(error)}`,
      );
      return 'unavailable';
    }
    enforcer.checked.reported(decision.id, result);
    if (charge !== null) returns.push(enforcer.returnOnce(decision.id, charge));
    return 'accepted';
  });
  await Promise.all([events.flushed(), ...returns]);
  if (isDurable()) return statuses;
  return statuses.map((status, index) => {
    if (status !== 'accepted') return status;
    enforcer.checked.forgetOutcome(outcomes[index]?.id ?? '');
    return 'unavailable';
  });
}

function eventOf(
  { id, tenantId, timeMs }: CheckedDecision,
  { status, latencyMs }: Outcome,
  isFree: boolean,
  source: string,
  nowMs: number,
): UsageCloudEvent<CorrectionData> {
  return {
    specversion: '1.0',
    id: `outcome-${id}`,
    source,
    type: amendEventType,
    time: new Date(nowMs).toISOString(),
    subject: tenantId,
    datacontenttype: 'application/json',
    data: {
      event_id: id,
      event_source: source,
      event_time: new Date(timeMs).toISOString(),
      status,
      latency_ms: latencyMs,
      ...(isFree ? { units: 0, cost: 0 } : {}),
    },
  };
}
