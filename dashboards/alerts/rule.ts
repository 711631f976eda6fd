import { withTiming, productionTiming } from './timing.ts';
import type { AlertTiming } from './timing.ts';
import type { DashboardName } from '../boards/sources.ts';

/** An alert for on-call, from which both Grafana's and Prometheus's rules are generated. */
export interface AlertRule {
  /** `TollgateRedisFailing`; also its uid in Grafana, in lower case. */
  readonly name: string;
  readonly severity: 'critical' | 'warning';
  /** PromQL of the value that is compared with the threshold: one series, or one for each part that can fail by itself. */
  readonly query: string;
  readonly fires: 'above' | 'below';
  readonly threshold: number;
  readonly forMinutes: number;
  /** What happens, in one line. May contain labels (`{{ .Labels.service }}`) and VALUE, the value of the query with its unit. */
  readonly summary: string;
  readonly format: 'number' | 'percentage' | 'duration' | 'bytes';
  /** What it means for customers. */
  readonly impact: string;
  /** What on-call does first; the runbook has the details. */
  readonly action: string;
  /** File in docs/runbooks, without its ending. */
  readonly runbook: string;
  readonly dashboard: DashboardName;
  /** Title of the panel on that dashboard that shows the query. */
  readonly panel: string;
  /**
   * What happens when the query returns no series. `keeps`: in Grafana the alert stays as it is, because the series is gone
   * with its process, and TollgateServiceDown reports that. `quiet` is for queries that return nothing without a fault.
   */
  readonly whenAbsent: 'quiet' | 'keeps' | 'fires';
}

/** The condition in PromQL. */
export function conditionOf(rule: AlertRule, timing: AlertTiming = productionTiming): string {
  const query = withTiming(rule.query, timing);
  const condition = `(${query}) ${rule.fires === 'above' ? '>' : '<'} ${rule.threshold}`;
  if (rule.whenAbsent !== 'fires') return condition;
  return `(${condition}) or (absent(${query}) * ${rule.fires === 'above' ? 'Inf' : '0'})`;
}

/** The text below the summary: what it means, then what to do. */
export function descriptionOf({ impact, action }: AlertRule): string {
  return `${impact} ${action}`;
}
