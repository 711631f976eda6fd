import type { AlertRule } from './rule.ts';

/** Share of the requests of 30 days that may fail by Tollgate's fault. */
const errorBudget = 0.001;

/** The fast alert reports the same errors. After a short fault they stay in the windows of the slow alert for half an hour. */
const notReported =
  'unless on () max_over_time(ALERTS{alertname="TollgateErrorBudgetFast",alertstate="firing"}[60m])';

/**
 * PromQL of the speed at which a budget is spent: the smaller one of two windows ÷ the budget. The short window ends the
 * alert soon after the fault. Nothing fires below a hundred requests an hour, where one failed request is a large share.
 */
function burnRate(long: string, short: string): string {
  const [slow, fast] = [`tollgate:own_errors:ratio_rate${long}`, `tollgate:own_errors:ratio_rate${short}`];
  const enough = 'on () (sum(rate(tollgate_responses_total[60m])) * 3600 > 100)';
  return `((${slow} < ${fast}) or ${fast}) / ${errorBudget} and ${enough}`;
}

const whereErrors = (range: string): AlertRule['where'] & object => ({
  query: `sum by (instance, entrypoint) (rate(tollgate_responses_total{status="5xx"}[${range}])) > 0`,
  text: '{{ .Labels.entrypoint }} on {{ .Labels.instance }} ({{ printf "%.3g" .Value }} responses of 5xx/s)',
});

/** Alerts on the objectives of docs/slo.md. */
export const objectiveRules: readonly AlertRule[] = [
  {
    name: 'TollgateErrorBudgetFast',
    severity: 'critical',
    query: burnRate('1h', '5m'),
    fires: 'above',
    threshold: 14.4,
    forMinutes: 2,
    summary: 'Requests fail by our fault: the error budget of 30 days is spent VALUE times too fast',
    format: 'number',
    impact: 'Customers receive 5xx from Tollgate. After an hour at this speed 2 % of the budget is gone.',
    action: 'Compare with the latest release, start and edit of the policy on Fleet, and undo it.',
    where: whereErrors('5m'),
    runbook: 'error-budget',
    dashboard: 'fleet',
    panel: 'Error budget: speed of its use',
    whenAbsent: 'quiet',
  },
  {
    name: 'TollgateErrorBudgetSlow',
    severity: 'warning',
    query: `${burnRate('6h', '30m')} ${notReported}`,
    fires: 'above',
    threshold: 6,
    forMinutes: 15,
    summary: 'Some requests fail by our fault: the error budget of 30 days is spent VALUE times too fast',
    format: 'number',
    impact:
      'A small share of requests receives 5xx from Tollgate. The budget is gone in less than five days.',
    action: 'Find the entrypoint and the gateway with the responses of 5xx, and read its log.',
    where: whereErrors('30m'),
    runbook: 'error-budget',
    dashboard: 'fleet',
    panel: 'Error budget: speed of its use',
    whenAbsent: 'quiet',
  },
];
