import { lateEvents, ownErrors, slowChecks } from '../boards/slo-queries.ts';

/** A series that Prometheus computes at every evaluation, before the alerts. */
export interface RecordingRule {
  readonly name: string;
  readonly query: string;
}

/** Windows of the burn-rate alerts, by the suffix of the names. */
const windows = { '5m': '5m', '30m': '30m', '1h': '60m', '6h': '360m' } as const;

/** Ratios of the objectives in docs/slo.md. A window of six hours is too expensive to compute in every panel and alert. */
export const recordingRules: readonly RecordingRule[] = Object.entries(windows).flatMap(([suffix, range]) => [
  { name: `tollgate:own_errors:ratio_rate${suffix}`, query: ownErrors('', range) },
  { name: `tollgate:slow_checks:ratio_rate${suffix}`, query: slowChecks('', range) },
  { name: `tollgate:late_events:ratio_rate${suffix}`, query: lateEvents(range) },
]);
