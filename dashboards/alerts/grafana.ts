import { prometheusDuration } from '../../shared/domain/time/format-duration.ts';
import { prometheusUid, runbookUid, uids } from '../boards/sources.ts';
import { descriptionOf, printed, summaryOf } from './rule.ts';
import { prometheusDown } from './availability-rules.ts';
import type { AlertRule, ValueTemplates } from './rule.ts';
import { panelOf } from './prometheus.ts';
import { productionTiming } from './timing.ts';
import { folder, settings } from '../settings.ts';
import type { Notifier, Receivers } from '../settings.ts';

const formats: ValueTemplates['value'] = {
  number: valueOr(printed.number),
  count: valueOr(printed.count),
  percentage: valueOr('humanizePercentage'),
  duration: durationOr(),
  bytes: valueOr('humanize1024', 'B'),
};

const templates: ValueTemplates = {
  value: formats,
  agreeing: (printing, one, many) =>
    `{{ if .Values }}{{ if eq (${printing} (index .Values "A").Value) "1" }}${one}{{ else }}${many}{{ end }}{{ else }}${many}{{ end }}`,
};

/** The value of the query, with a text for an alert that has no value because Prometheus did not answer. */
function valueOr(format: string, unit = ''): string {
  return `{{ if .Values }}{{ ${format} (index .Values "A").Value }}${unit}{{ else }}an unknown number{{ end }}`;
}

function durationOr(): string {
  const value = '(index .Values "A").Value';
  return `{{ if .Values }}{{ if lt ${value} 1e8 }}{{ humanizeDuration ${value} }}{{ else }}an unknown time{{ end }}{{ else }}an unknown time{{ end }}`;
}

const noDataStates = { quiet: 'OK', keeps: 'KeepLast', fires: 'Alerting' } as const;

/**
 * Alert rules for `provisioning/alerting`. Each rule has two queries: A is the PromQL, and C is the condition on its
 * value. Grafana has a setting for a query without series, so the PromQL does not need `absent`.
 */
export function alertRuleGroups(
  rules: readonly AlertRule[],
  panelIds: ReadonlyMap<string, number>,
  notifier: Notifier = settings.alertNotifier,
): unknown {
  return {
    apiVersion: 1,
    groups: [
      {
        orgId: 1,
        name: 'tollgate',
        folder,
        interval: prometheusDuration(productionTiming.evaluateSeconds),
        rules: [...rules, prometheusDown].map((rule) => grafanaRule(rule, panelIds, notifier)),
      },
    ],
  };
}

function grafanaRule(rule: AlertRule, panelIds: ReadonlyMap<string, number>, notifier: Notifier): unknown {
  const panelId = panelOf(rule, panelIds);
  return {
    uid: rule.name.toLowerCase(),
    title: rule.name,
    condition: 'C',
    data: [
      {
        refId: 'A',
        relativeTimeRange: { from: 600, to: 0 },
        datasourceUid: prometheusUid,
        model: {
          refId: 'A',
          expr: rule.query,
          instant: true,
          range: false,
          intervalMs: 1000,
          maxDataPoints: 43200,
        },
      },
      {
        refId: 'C',
        relativeTimeRange: { from: 600, to: 0 },
        datasourceUid: '__expr__',
        model: {
          refId: 'C',
          type: 'threshold',
          expression: 'A',
          datasource: { type: '__expr__', uid: '__expr__' },
          conditions: [
            { evaluator: { type: rule.fires === 'above' ? 'gt' : 'lt', params: [rule.threshold] } },
          ],
        },
      },
    ],
    dashboardUid: uids[rule.dashboard],
    panelId,
    noDataState: noDataStates[rule.whenAbsent],
    // If Prometheus does not answer, one rule reports it. The others keep their state, so that they do not all fire.
    execErrState: rule.name === prometheusDown.name ? 'Alerting' : 'KeepLast',
    for: `${rule.forMinutes}m`,
    ...(rule.keepFiringMinutes !== undefined && { keep_firing_for: `${rule.keepFiringMinutes}m` }),
    annotations: {
      summary: summaryOf(rule, templates),
      description: descriptionOf(rule),
      runbook_url: `${settings.grafanaUrl}/d/${runbookUid(rule.runbook)}`,
      __dashboardUid__: uids[rule.dashboard],
      __panelId__: String(panelId),
    },
    // Prometheus cannot evaluate the rule on its own absence.
    labels: {
      severity: rule.severity,
      notified_by: rule.name === prometheusDown.name ? 'grafana' : notifier,
    },
    isPaused: false,
  };
}

export function contactPoints({ onCallUrl, teamUrl }: Receivers): unknown {
  const point = (name: string, url: string, addresses: string | null): unknown => ({
    orgId: 1,
    name,
    receivers: [
      { uid: name, type: 'webhook', settings: { url, httpMethod: 'POST' }, disableResolveMessage: false },
      ...(addresses === null
        ? []
        : [
            {
              ...{ uid: `${name}-email`, type: 'email', settings: { addresses, singleEmail: false } },
              disableResolveMessage: false,
            },
          ]),
    ],
  });
  return {
    apiVersion: 1,
    contactPoints: [
      point('tollgate-on-call', onCallUrl, settings.onCallEmail),
      point('tollgate-team', teamUrl, settings.teamEmail),
    ],
  };
}

/** Name of the interval that contains every time. A route with it sends no notification. */
const always = 'tollgate-always';

export function muteTimes(): unknown {
  return {
    apiVersion: 1,
    muteTimes: [
      {
        orgId: 1,
        name: always,
        time_intervals: [{ times: [{ start_time: '00:00', end_time: '24:00' }] }],
      },
    ],
  };
}

export function notificationPolicy(): unknown {
  return {
    apiVersion: 1,
    policies: [
      {
        orgId: 1,
        receiver: 'tollgate-team',
        group_by: ['grafana_folder', 'alertname'],
        group_wait: '10s',
        group_interval: '1m',
        repeat_interval: '4h',
        routes: [
          // Grafana evaluates these rules to show their states on the panels. Alertmanager sends their notifications.
          {
            receiver: 'tollgate-team',
            object_matchers: [['notified_by', '=', 'alertmanager']],
            mute_time_intervals: [always],
          },
          {
            receiver: 'tollgate-on-call',
            object_matchers: [['severity', '=', 'critical']],
            repeat_interval: '1h',
          },
        ],
      },
    ],
  };
}
