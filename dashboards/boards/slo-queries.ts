/**
 * PromQL of the objectives in docs/slo.md. Panels use them with the range of the panel, and the recording rules with the
 * windows of the alerts.
 */

/** Share of the responses that were 5xx without the upstream being the cause. */
export function ownErrors(selector: string, range: string): string {
  const and = selector === '' ? '' : `,${selector}`;
  return (
    `clamp_min(sum(rate(tollgate_responses_total{status="5xx"${and}}[${range}]))` +
    ` - (sum(rate(tollgate_upstream_failures_total{${selector}}[${range}])) or vector(0)), 0)` +
    ` / (sum(rate(tollgate_responses_total{${selector}}[${range}])) > 0)`
  );
}

/** Share of the checks that took longer than 1 ms, whatever decided them. */
export function slowChecks(selector: string, range: string): string {
  const and = selector === '' ? '' : `,${selector}`;
  return (
    `1 - sum(rate(tollgate_check_duration_seconds_bucket{le="0.001"${and}}[${range}]))` +
    ` / (sum(rate(tollgate_check_duration_seconds_count{${selector}}[${range}])) > 0)`
  );
}

/**
 * Share of the events that were first visible in the totals later than 10 s after their time. Prometheus 3 writes
 * the bound of a bucket as `10.0`.
 */
export function lateEvents(range: string): string {
  return (
    `1 - sum(rate(tollgate_aggregator_freshness_seconds_bucket{le=~"10|10.0"}[${range}]))` +
    ` / (sum(rate(tollgate_aggregator_freshness_seconds_count[${range}])) > 0)`
  );
}
