import { hasShape, integerFrom, isBoolean, nullable, numberFrom, oneOf, textOf } from '../topics/shape.ts';
import type { Shape } from '../topics/shape.ts';
import { readInstant } from '../time/instant.ts';

/** State of one gateway, which the gateway reports every few seconds. */
export interface GatewayReport {
  readonly kind: 'gateway';
  /** Name of the node. */
  readonly name: string;
  /** Time of the report, ISO 8601. */
  readonly at: string;
  /** Revision of the policy that the gateway applies. */
  readonly policy: string;
  /** The first violation of the policy file that the gateway refused; null: the file is in force. */
  readonly refused_edit: string | null;
  /** Number of Redis servers whose circuit breaker is open. */
  readonly redis_unavailable: number;
  /** Last time at which a circuit breaker was open, ISO 8601; null: never since the start. */
  readonly without_redis_at: string | null;
  /** Error of the disk of the spool; null: the disk works. */
  readonly spool_failure: string | null;
}

/** Result of a loss audit. `last-loss` is the newest audit that found a loss. */
export interface LossAuditReport {
  readonly kind: 'loss-audit' | 'last-loss';
  readonly name: '';
  /** End of the audit, ISO 8601. */
  readonly at: string;
  readonly is_failed: boolean;
  /** Time from the end of an audit to the start of the next in milliseconds. */
  readonly interval_ms: number;
  /** True if more records are missing than an audit reads: `lost_events` is then a lower bound. */
  readonly is_cut: boolean;
  /** Accepted events that are in no table. */
  readonly lost_events: number;
  /** Units that Redis counted and ClickHouse did not; null: they were not compared, because the pipeline was late. */
  readonly units_ahead: number | null;
  /** Days whose totals do not agree with the stored events. */
  readonly disagreeing_days: number;
  /** Starts of a gateway whose spool was an older copy, or a copy that another node uses. */
  readonly spools_set_back: number;
}

/** What a process states about itself. It is kept for a limited time only, and replaced by the next report. */
export type ProcessReport = GatewayReport | LossAuditReport;

const textLengthMax = 1_000;
const isInstant = Object.assign(
  (value: unknown): boolean => typeof value === 'string' && readInstant(value) !== null,
  { schema: { type: 'string', format: 'date-time' } },
);

const gatewayShape: Shape<GatewayReport> = {
  kind: oneOf(['gateway']),
  name: textOf(1, 256),
  at: isInstant,
  policy: textOf(0, 100),
  refused_edit: nullable(textOf(0, textLengthMax)),
  redis_unavailable: integerFrom(0),
  without_redis_at: nullable(isInstant),
  spool_failure: nullable(textOf(0, textLengthMax)),
};

const lossAuditShape: Shape<LossAuditReport> = {
  kind: oneOf(['loss-audit', 'last-loss']),
  name: textOf(0, 0),
  at: isInstant,
  is_failed: isBoolean,
  interval_ms: integerFrom(0),
  is_cut: isBoolean,
  lost_events: integerFrom(0),
  units_ahead: nullable(numberFrom(0)),
  disagreeing_days: integerFrom(0),
  spools_set_back: integerFrom(0),
};

/** Reads a stored report. Returns null if it is not valid, for example because a newer version wrote it. */
export function readProcessReport(text: string): ProcessReport | null {
  try {
    const value: unknown = JSON.parse(text);
    if (hasShape(value, gatewayShape) || hasShape(value, lossAuditShape)) return value;
    return null;
  } catch {
    return null;
  }
}

/** A text of a report, cut to its maximum length. */
export function reportText(text: string): string {
  return text.slice(0, textLengthMax).toWellFormed();
}
