import { withTiming, productionTiming } from './timing.ts';
import type { AlertTiming } from './timing.ts';
import type { DashboardName } from '../boards/sources.ts';

/** An alert for on-call, from which both Grafana's and Prometheus's rules are generated. */
export interface AlertRule {
  /** Name, e.g. `TollgateRedisFailing`. In lower case it is also the uid in Grafana. */
  readonly name: string;
  readonly severity: 'critical' | 'warning';
  /**
   * PromQL of the value that is compared with the threshold. It returns one series, or one series for each part that
   * can fail alone.
   */
  readonly query: string;
  readonly fires: 'above' | 'below';
  readonly threshold: number;
  readonly forMinutes: number;
  /**
   * Minutes for which the alert stays active after its condition ended. Used for alerts that inhibit others, so that
   * their consequences end before they do.
   */
  readonly keepFiringMinutes?: number;
  /**
   * One line that says what happens. It may contain labels (`{{ .Labels.service }}`) and the word VALUE, which is
   * replaced by the value of the query with its unit. Words that agree with a counted value have two forms: `{call|calls}`.
   */
  readonly summary: string;
  /** `count`: a number of things. It is rounded, because Prometheus extrapolates an increase. */
  readonly format: 'number' | 'count' | 'percentage' | 'duration' | 'bytes';
  /**
   * PromQL whose three largest series name the parts that are affected most, and the text of one series. Prometheus
   * adds them to the notification.
   */
  readonly where?: { readonly query: string; readonly text: string };
  /** Consequence for customers. */
  readonly impact: string;
  /** First action of on-call. The runbook has the details. */
  readonly action: string;
  /** Name of the file in docs/runbooks, without `.md`. */
  readonly runbook: string;
  readonly dashboard: DashboardName;
  /** Title of the panel that shows the query, on the dashboard `dashboard`. */
  readonly panel: string;
  /**
   * What happens when the query returns no series. `keeps`: in Grafana the alert keeps its state, because the
   * process has stopped, which TollgateServiceDown reports. `quiet`: no alert, because an empty result is no fault.
   */
  readonly whenAbsent: 'quiet' | 'keeps' | 'fires';
}

/** The rule's condition as PromQL. */
export function conditionOf(rule: AlertRule, timing: AlertTiming = productionTiming): string {
  const query = withTiming(rule.query, timing);
  const condition = `(${query}) ${rule.fires === 'above' ? '>' : '<'} ${rule.threshold}`;
  if (rule.whenAbsent !== 'fires') return condition;
  return `(${condition}) or (absent(${query}) * ${rule.fires === 'above' ? 'Inf' : '0'})`;
}

/** Annotation that names the most affected parts, as a template of Prometheus. */
export function whereOf({ where }: AlertRule, timing: AlertTiming = productionTiming): string | null {
  if (where === undefined) return null;
  const query = withTiming(`sort_desc(topk(3, ${where.query}))`, timing);
  return (
    `{{ with query ${JSON.stringify(query)} }}{{ range $index, $part := . }}{{ if $index }}, {{ end }}` +
    `{{ with $part }}${where.text}{{ end }}{{ end }}{{ else }}no single part stands out{{ end }}`
  );
}

/** How a system that evaluates rules writes the value of a rule in its templates. */
export interface ValueTemplates {
  readonly value: Readonly<Record<AlertRule['format'], string>>;
  /** The template of one of two forms: the first if the function prints the value as 1. */
  readonly agreeing: (printed: string, one: string, many: string) => string;
}

/** Template functions that print a counted value. */
export const printed = { number: 'humanize', count: 'printf "%.0f"' } as const;

/** The summary as a template. */
export function summaryOf({ summary, format }: AlertRule, { value, agreeing }: ValueTemplates): string {
  const printing = format === 'number' ? printed.number : printed.count;
  return summary
    .replaceAll(/(?<!\{)\{([^{}|]+)\|([^{}|]+)\}(?!\})/g, (_, one: string, many: string) =>
      agreeing(printing, one, many),
    )
    .replace('VALUE', value[format]);
}

/** The text below the summary: the consequence for customers, then the action. */
export function descriptionOf({ impact, action }: AlertRule): string {
  return `${impact} ${action}`;
}
