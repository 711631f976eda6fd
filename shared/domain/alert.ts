/** Value of `tollgate.alerts.v1`, keyed by tenant_id. `id` is derived from (tenant, limit, period, threshold), so repeats are recognisable. */
export interface AlertEvent {
  readonly id: string;
  readonly kind: 'threshold' | 'exceeded' | 'recovered' | 'forecast' | 'rejections';
  readonly tenant_id: string;
  readonly plan: string;
  readonly limit_name: string;
  /** Share of the limit, e.g. 0.8. */
  readonly threshold: number;
  /** Start of the period, ISO 8601. */
  readonly period: string;
  readonly limit: number;
  readonly used: number;
  /** ISO 8601; null when the recent rate will not exhaust the limit in this period. */
  readonly exhausted_at: string | null;
  readonly at: string;
}
