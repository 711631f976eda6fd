/**
 * - `threshold`: a share of a quota below the whole was used. `exceeded`: the whole was.
 * - `forecast`: at the recent rate the quota will be used up before its period ends.
 * - `recovered`: a quota that was exceeded has room again (next period, reset, or a higher limit).
 * - `rearmed`: a reset or a higher limit took a quota below thresholds that were told, so that they may be told again. A
 *   note of the alerter to itself: nobody is told.
 * - `rejections`: a large share of the requests of the last minute was refused.
 * - `test`: asked for by a person, to see that a target works.
 */
export type AlertKind =
  'threshold' | 'exceeded' | 'recovered' | 'rearmed' | 'forecast' | 'rejections' | 'test';

/** Value of `tollgate.alerts.v1`, keyed by tenant_id. `id` is derived from (tenant, limit, period, threshold, generation), so repeats are recognisable. */
export interface AlertEvent {
  readonly id: string;
  readonly kind: AlertKind;
  readonly tenant_id: string;
  readonly plan: string;
  readonly limit_name: string;
  /** Share of the limit, e.g. 0.8. For `rejections` the share of requests refused that was crossed. */
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
  /** Lower thresholds crossed in the same moment: counted as told, not sent by themselves. */
  readonly also_crossed?: readonly number[];
  /** How often a reset or a raised limit has rearmed thresholds in this period; absent: 0. */
  readonly generation?: number;
  /** Set where the event begins its generation: thresholds above this share of the limit may be told again. */
  readonly rearmed_above?: number;
  /** The reset that counting began with, ISO 8601; absent: none in this period. */
  readonly reset_at?: string;
  /** When the totals it was judged by were announced, ISO 8601: an older announcement cannot undo it. */
  readonly as_of?: string;
  /** For `test`: the one target it is meant for, as the tenant's record names it; absent: all of them. */
  readonly only_target?: string;
  readonly at: string;
}
