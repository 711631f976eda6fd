import { withTiming, productionTiming } from './timing.ts';
import type { AlertTiming } from './timing.ts';
import type { DashboardName } from '../boards/sources.ts';

/** An alert for on-call, from which both Grafana's and Prometheus's rules are made. */
export interface AlertRule {
  /** `TollgateRedisFailing`; also its uid in Grafana, in lower case. */
  readonly name: string;
  readonly severity: 'critical' | 'warning';
  /** PromQL that says how bad it is: one number, or one for each thing that can be bad by itself. */
  readonly query: string;
  readonly fires: 'above' | 'below';
  readonly threshold: number;
  readonly forMinutes: number;
  /**
   * One line. May name labels (`{{ .Labels.service }}`) and VALUE, the query's value as text; VALUE is followed by
   * its unit in the text.
   */
  readonly summary: string;
  readonly format: 'number' | 'percentage' | 'duration' | 'bytes';
  /** What it means for customers, one sentence. */
  readonly impact: string;
  /** File in docs/runbooks, without its ending. */
  readonly runbook: string;
  readonly dashboard: DashboardName;
  /** Title of the panel on that dashboard which shows the query. */
  readonly panel: string;
  /** When the query finds no series at all: nothing to say, or itself the trouble. */
  readonly whenAbsent: 'quiet' | 'fires';
}

/** The condition in PromQL. */
export function conditionOf(rule: AlertRule, timing: AlertTiming = productionTiming): string {
  const query = withTiming(rule.query, timing);
  const condition = `(${query}) ${rule.fires === 'above' ? '>' : '<'} ${rule.threshold}`;
  if (rule.whenAbsent === 'quiet') return condition;
  return `(${condition}) or (absent(${query}) * ${rule.fires === 'above' ? 'Inf' : '0'})`;
}
