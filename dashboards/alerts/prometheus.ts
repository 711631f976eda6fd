import { prometheusDuration } from '../../shared/domain/time/format-duration.ts';
import { recordingRules } from './recording-rules.ts';
import { productionTiming, withTiming } from './timing.ts';
import type { AlertTiming } from './timing.ts';
import { runbookUid, uids } from '../boards/sources.ts';
import { conditionOf, descriptionOf, printed, summaryOf, whereOf } from './rule.ts';
import type { AlertRule, ValueTemplates } from './rule.ts';
import { settings } from '../settings.ts';
import type { Notifier, Place, Receivers } from '../settings.ts';
import { inhibitions } from './inhibitions.ts';

const formats: ValueTemplates['value'] = {
  number: `{{ ${printed.number} .Value }}`,
  count: `{{ ${printed.count} .Value }}`,
  percentage: '{{ .Value | humanizePercentage }}',
  // A duration since a time that is not set is infinite or of decades.
  duration: '{{ if lt .Value 1e8 }}{{ .Value | humanizeDuration }}{{ else }}an unknown time{{ end }}',
  bytes: '{{ .Value | humanize1024 }}B',
};

const templates: ValueTemplates = {
  value: formats,
  agreeing: (printing, one, many) => `{{ if eq (${printing} .Value) "1" }}${one}{{ else }}${many}{{ end }}`,
};

/** A Prometheus rules file. `promtool check rules` and `promtool test rules` accept it. */
export function prometheusRules(
  rules: readonly AlertRule[],
  panelIds: ReadonlyMap<string, number>,
  timing: AlertTiming = productionTiming,
): unknown {
  return {
    groups: [
      {
        name: 'tollgate',
        interval: prometheusDuration(timing.evaluateSeconds),
        rules: [
          ...recordingRules.map(({ name, query }) => ({ record: name, expr: withTiming(query, timing) })),
          ...rules.map((rule) => alertOf(rule, panelIds, timing)),
        ],
      },
    ],
  };
}

function alertOf(rule: AlertRule, panelIds: ReadonlyMap<string, number>, timing: AlertTiming): unknown {
  const duration = (minutes: number): string => prometheusDuration((minutes * 60) / timing.speedup);
  const where = whereOf(rule, timing);
  return {
    alert: rule.name,
    expr: conditionOf(rule, timing),
    for: duration(rule.forMinutes),
    ...(rule.keepFiringMinutes !== undefined && { keep_firing_for: duration(rule.keepFiringMinutes) }),
    labels: { severity: rule.severity },
    annotations: {
      summary: summaryOf(rule, templates),
      description: descriptionOf(rule),
      ...(where !== null && { where }),
      runbook_url: `${settings.grafanaUrl}/d/${runbookUid(rule.runbook)}`,
      dashboard_url: `${settings.grafanaUrl}/d/${uids[rule.dashboard]}?viewPanel=panel-${panelOf(rule, panelIds)}`,
    },
  };
}

/** Id of the panel to which a rule links. */
export function panelOf(rule: AlertRule, panelIds: ReadonlyMap<string, number>): number {
  const id = panelIds.get(`${rule.dashboard}/${rule.panel}`);
  if (id === undefined) throw new Error(`${rule.name} names a panel that does not exist: ${rule.panel}`);
  return id;
}

export function prometheusConfig(
  place: Place,
  timing: AlertTiming = productionTiming,
  notifier: Notifier = settings.alertNotifier,
): unknown {
  return {
    global: {
      scrape_interval: prometheusDuration(timing.scrapeSeconds),
      evaluation_interval: prometheusDuration(timing.evaluateSeconds),
    },
    rule_files: [place.rulesFile],
    ...(notifier === 'alertmanager' && {
      alerting: { alertmanagers: [{ static_configs: [{ targets: [place.alertmanager] }] }] },
    }),
    scrape_configs: Object.entries(place.services).map(([service, target]) => ({
      job_name: `tollgate-${service}`,
      static_configs: [{ targets: [target] }],
    })),
  };
}

export function alertmanagerConfig(
  { onCallUrl, teamUrl }: Receivers,
  timing: AlertTiming = productionTiming,
): unknown {
  return {
    route: {
      receiver: 'team',
      group_by: ['alertname'],
      group_wait: prometheusDuration(timing.groupWaitSeconds),
      group_interval: prometheusDuration(timing.groupIntervalSeconds),
      repeat_interval: '4h',
      routes: [{ receiver: 'on-call', matchers: ['severity="critical"'], repeat_interval: '1h' }],
    },
    inhibit_rules: inhibitions.map(({ source, sourceLabels = {}, targets, targetLabels = {}, equal }) => ({
      source_matchers: [`alertname="${source}"`, ...matchersOf(sourceLabels)],
      target_matchers: [`alertname=~"${targets.join('|')}"`, ...matchersOf(targetLabels)],
      ...(equal !== undefined && { equal: [...equal] }),
    })),
    receivers: [
      { name: 'on-call', webhook_configs: [{ url: onCallUrl, send_resolved: true }] },
      { name: 'team', webhook_configs: [{ url: teamUrl, send_resolved: true }] },
    ],
  };
}

function matchersOf(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels).map(([label, expression]) => `${label}=~"${expression}"`);
}
