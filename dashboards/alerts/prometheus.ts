import { prometheusDuration } from '../../shared/domain/time/format-duration.ts';
import { productionTiming } from './timing.ts';
import type { AlertTiming } from './timing.ts';
import { runbookUid, uids } from '../boards/sources.ts';
import { conditionOf, descriptionOf } from './rule.ts';
import type { AlertRule } from './rule.ts';
import { settings } from '../settings.ts';
import type { Place } from '../settings.ts';

const formats = {
  number: '{{ .Value | humanize }}',
  percentage: '{{ .Value | humanizePercentage }}',
  duration: '{{ .Value | humanizeDuration }}',
  bytes: '{{ .Value | humanize1024 }}B',
} as const;

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
        rules: rules.map((rule) => ({
          alert: rule.name,
          expr: conditionOf(rule, timing),
          for: prometheusDuration((rule.forMinutes * 60) / timing.speedup),
          labels: { severity: rule.severity },
          annotations: {
            summary: rule.summary.replace('VALUE', formats[rule.format]),
            description: descriptionOf(rule),
            runbook_url: `${settings.grafanaUrl}/d/${runbookUid(rule.runbook)}`,
            dashboard_url: `${settings.grafanaUrl}/d/${uids[rule.dashboard]}?viewPanel=panel-${panelOf(rule, panelIds)}`,
          },
        })),
      },
    ],
  };
}

/** Id of the panel to which a rule links. */
export function panelOf(rule: AlertRule, panelIds: ReadonlyMap<string, number>): number {
  const id = panelIds.get(`${rule.dashboard}/${rule.panel}`);
  if (id === undefined) throw new Error(`${rule.name} names a panel that does not exist: ${rule.panel}`);
  return id;
}

export function prometheusConfig(place: Place, timing: AlertTiming = productionTiming): unknown {
  return {
    global: {
      scrape_interval: prometheusDuration(timing.scrapeSeconds),
      evaluation_interval: prometheusDuration(timing.evaluateSeconds),
    },
    rule_files: [place.rulesFile],
    alerting: { alertmanagers: [{ static_configs: [{ targets: [place.alertmanager] }] }] },
    scrape_configs: Object.entries(place.services).map(([service, target]) => ({
      job_name: `tollgate-${service}`,
      static_configs: [{ targets: [target] }],
    })),
  };
}

/** URLs of receivers to which Alertmanager sends notifications, in its webhook format. */
export interface Receivers {
  readonly onCallUrl: string;
  readonly teamUrl: string;
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
    // If Redis is unavailable to most nodes, one alert says so, and the alerts for single nodes are suppressed.
    inhibit_rules: [
      {
        source_matchers: ['alertname="TollgateRedisFailing"'],
        target_matchers: ['alertname="TollgateNodeDegraded"'],
      },
    ],
    receivers: [
      { name: 'on-call', webhook_configs: [{ url: onCallUrl, send_resolved: true }] },
      { name: 'team', webhook_configs: [{ url: teamUrl, send_resolved: true }] },
    ],
  };
}
