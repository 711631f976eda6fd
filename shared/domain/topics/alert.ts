import { idLengthMax } from '../identity.ts';
import { readInstant } from '../time/instant.ts';
import {
  checkOf,
  hasShape,
  integerFrom,
  isFiniteNumber,
  listOf,
  nullable,
  oneOf,
  optional,
  textOf,
} from './shape.ts';
import type { Shape } from './shape.ts';

/**
 * - `threshold`: usage reached a share of a quota below 1. `exceeded`: usage reached the full quota.
 * - `forecast`: at the recent rate the quota will be used up before its period ends.
 * - `recovered`: a quota that was exceeded has units again (next period, reset, or a higher limit).
 * - `rearmed`: a reset or a higher limit took usage below thresholds of alerts already sent, so that these may be sent
 *   again. A record for the alerter itself: no notification is sent.
 * - `rejections`: a large share of the requests of the last minute was refused.
 * - `test`: requested by a user to check that a target works.
 */
export type AlertKind =
  'threshold' | 'exceeded' | 'recovered' | 'rearmed' | 'forecast' | 'rejections' | 'test';

/**
 * Value of `tollgate.alerts.v1`, keyed by tenant_id. `id` is derived from tenant, limit, period, threshold and
 * generation, so an alert that is published again has the same id.
 */
export interface AlertEvent {
  readonly id: string;
  readonly kind: AlertKind;
  readonly tenant_id: string;
  readonly plan: string;
  readonly limit_name: string;
  /**
   * Share of the limit that was reached, e.g. 0.8. For `rejections`: the share of refused requests that was reached.
   */
  readonly threshold: number;
  /** Start of the quota's period, ISO 8601. */
  readonly period: string;
  /** First instant after the period, ISO 8601. */
  readonly period_ends_at?: string;
  /**
   * Limit of the quota, in the unit of its quantity. For `rejections`: number of requests in the last minute.
   */
  readonly limit: number;
  /** Used part of the limit. For `rejections`: number of refused requests in the last minute. */
  readonly used: number;
  /** Name of the quantity that the quota counts, e.g. `usd`; absent: units of requests. */
  readonly quantity?: string;
  /** Decimals of the quantity; absent: 0. */
  readonly decimals?: number;
  /** ISO 4217 code of the currency, if the quota counts money and the policy names its currency. */
  readonly currency?: string;
  /** Time at which the quota will be used up at the recent rate, ISO 8601; null if not in this period. */
  readonly exhausted_at: string | null;
  /**
   * Lower thresholds that were reached at the same moment. They are recorded as sent, but no notification is sent for
   * them.
   */
  readonly also_crossed?: readonly number[];
  /** How many times a reset or a raised limit has rearmed thresholds in this period; absent: 0. */
  readonly generation?: number;
  /**
   * Set on the `rearmed` event, which begins a new generation: alerts for thresholds above this share of the limit
   * may be sent again.
   */
  readonly rearmed_above?: number;
  /** Time of the reset since which units are counted, ISO 8601; absent: no reset in this period. */
  readonly reset_at?: string;
  /**
   * Time of the announced totals that caused this alert, ISO 8601. Totals announced earlier cannot revoke the alert.
   */
  readonly as_of?: string;
  /** For `test`: the only target that receives the alert, as in the tenant's record; absent: all targets. */
  readonly only_target?: string;
  readonly at: string;
}

const alertKinds: readonly AlertKind[] = [
  'threshold',
  'exceeded',
  'forecast',
  'recovered',
  'rearmed',
  'rejections',
  'test',
];
const instantLengthMax = 64;
const textLengthMax = 2_000;
const alsoCrossedMax = 1_000;

/** Reads a value of the alerts topic; null if it is not a valid alert. */
export function readAlert(value: Buffer): AlertEvent | null {
  try {
    const alert: unknown = JSON.parse(value.toString());
    return isAlert(alert) ? alert : null;
  } catch {
    return null;
  }
}

/** A valid time of RFC 3339 in UTC. */
const isInstant = checkOf(
  { type: 'string', format: 'date-time', pattern: 'Z$', maxLength: instantLengthMax },
  (time) =>
    typeof time === 'string' &&
    time.length <= instantLengthMax &&
    time.endsWith('Z') &&
    readInstant(time) !== null,
);
const isText = textOf(0, textLengthMax);

/** The fields of `AlertEvent`. */
export const alertShape: Shape<AlertEvent> = {
  id: textOf(1, 128),
  kind: oneOf(alertKinds),
  tenant_id: textOf(1, idLengthMax),
  plan: isText,
  limit_name: isText,
  threshold: isFiniteNumber,
  period: isInstant,
  period_ends_at: optional(isInstant),
  limit: isFiniteNumber,
  used: isFiniteNumber,
  quantity: optional(textOf(1, 48)),
  decimals: optional(integerFrom(0)),
  currency: optional(textOf(1, 3)),
  exhausted_at: nullable(isInstant),
  also_crossed: optional(listOf(isFiniteNumber, alsoCrossedMax)),
  generation: optional(integerFrom(0)),
  rearmed_above: optional(isFiniteNumber),
  reset_at: optional(isInstant),
  as_of: optional(isInstant),
  only_target: optional(isText),
  at: isInstant,
};

export function isAlert(value: unknown): value is AlertEvent {
  return hasShape(value, alertShape);
}
