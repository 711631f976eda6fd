import { idLengthMax } from '../identity.ts';
import { readInstant } from '../time/instant.ts';
import { hasShape, integerFrom, isFiniteNumber, listOf, nullable, oneOf, optional, textOf } from './shape.ts';
import type { Check } from './shape.ts';

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

/** Value of `tollgate.alerts.v1`, keyed by tenant_id. `id` is derived from (tenant, limit, period, threshold, generation), so that repeats are recognizable. */
export interface AlertEvent {
  readonly id: string;
  readonly kind: AlertKind;
  readonly tenant_id: string;
  readonly plan: string;
  readonly limit_name: string;
  /** Share of the limit, e.g. 0.8. For `rejections`: the share of refused requests that was reached. */
  readonly threshold: number;
  /** Start of the period, ISO 8601. */
  readonly period: string;
  /** First instant after the period, ISO 8601. */
  readonly period_ends_at?: string;
  /** Units of the quota; for `rejections` the requests of the last minute. */
  readonly limit: number;
  /** Units used of the quota; for `rejections` the requests refused in the last minute. */
  readonly used: number;
  /** ISO 8601; null when the recent rate will not exhaust the limit in this period. */
  readonly exhausted_at: string | null;
  /** Lower thresholds reached at the same moment: recorded as sent, not sent by themselves. */
  readonly also_crossed?: readonly number[];
  /** Number of times that a reset or a raised limit has rearmed thresholds in this period; absent: 0. */
  readonly generation?: number;
  /** Set on the event that begins a generation: thresholds above this share of the limit may be sent again. */
  readonly rearmed_above?: number;
  /** Time of the reset with which counting began, ISO 8601; absent: no reset in this period. */
  readonly reset_at?: string;
  /** Time of the announced totals behind this alert, ISO 8601: an older announcement cannot revoke it. */
  readonly as_of?: string;
  /** For `test`: the only target of the alert, as in the tenant's record; absent: all targets. */
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

/** Reads a value of the alerts topic; null where it is not a valid alert. */
export function readAlert(value: Buffer): AlertEvent | null {
  try {
    const alert: unknown = JSON.parse(value.toString());
    return isAlert(alert) ? alert : null;
  } catch {
    return null;
  }
}

/** A valid time in UTC. */
const isInstant: Check = (time) =>
  typeof time === 'string' &&
  time.length <= instantLengthMax &&
  time.endsWith('Z') &&
  readInstant(time) !== null;
const isText = textOf(0, textLengthMax);

export function isAlert(value: unknown): value is AlertEvent {
  return hasShape<AlertEvent>(value, {
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
    exhausted_at: nullable(isInstant),
    also_crossed: optional(listOf(isFiniteNumber, alsoCrossedMax)),
    generation: optional(integerFrom(0)),
    rearmed_above: optional(isFiniteNumber),
    reset_at: optional(isInstant),
    as_of: optional(isInstant),
    only_target: optional(isText),
    at: isInstant,
  });
}
