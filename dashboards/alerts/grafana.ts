import { prometheusDuration } from '../../shared/domain/time/format-duration.ts';
import { prometheusUid, runbookUid, uids } from '../boards/sources.ts';
import { descriptionOf } from './rule.ts';
import type { AlertRule } from './rule.ts';
import { panelOf } from './prometheus.ts';
import { productionTiming } from './timing.ts';
import { folder, settings } from '../settings.ts';

const formats = {
  number: '{{ humanize .Values.A.Value }}',
  percentage: '{{ humanizePercentage .Values.A.Value }}',
  duration: '{{ humanizeDuration .Values.A.Value }}',
  bytes: '{{ humanize1024 .Values.A.Value }}B',
} as const;

/**
 * `provisioning/alerting`, rules. Each has the query (A) and the condition on it (C). Grafana has its own setting for a
 * query without series, so the PromQL needs no `absent`.
 */
export function alertRuleGroups(rules: readonly AlertRule[], panelIds: ReadonlyMap<string, number>): unknown {
  return {
    apiVersion: 1,
    groups: [
      {
        orgId: 1,
        name: 'tollgate',
        folder,
        interval: prometheusDuration(productionTiming.evaluateSeconds),
        rules: rules.map((rule) => grafanaRule(rule, panelIds)),
      },
    ],
  };
}

function grafanaRule(rule: AlertRule, panelIds: ReadonlyMap<string, number>): unknown {
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
    noDataState: rule.whenAbsent === 'fires' ? 'Alerting' : 'OK',
    execErrState: 'Error',
    for: `${rule.forMinutes}m`,
    annotations: {
      summary: rule.summary.replace('VALUE', formats[rule.format]),
      description: descriptionOf(rule),
      runbook_url: `${settings.grafanaUrl}/d/${runbookUid(rule.runbook)}`,
      __dashboardUid__: uids[rule.dashboard],
      __panelId__: String(panelId),
    },
    labels: { severity: rule.severity },
    isPaused: false,
  };
}

export function contactPoints(): unknown {
  const byEmail = (name: string, addresses: string): unknown => ({
    orgId: 1,
    name,
    receivers: [
      { uid: name, type: 'email', settings: { addresses, singleEmail: false }, disableResolveMessage: false },
    ],
  });
  return {
    apiVersion: 1,
    contactPoints: [
      byEmail('tollgate-on-call', settings.onCallEmail),
      byEmail('tollgate-team', settings.teamEmail),
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
