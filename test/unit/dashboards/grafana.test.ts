import { describe, expect, test } from 'vitest';
import { renderAll } from '../../../dashboards/render.ts';
import { grafanaViolations } from './grafana/violations.ts';

const rules = 'grafana/provisioning/alerting/rules.yaml';
const policy = 'grafana/provisioning/alerting/notification-policy.yaml';
const prometheus = 'prometheus/prometheus.yml';
const fleet = 'grafana/dashboards/fleet.json';
const runbook = 'grafana/runbooks/lag.json';

const rendered = renderAll();

test('B8: Grafana accepts every provisioned file and shows every panel with title, description and unit', () => {
  expect(grafanaViolations(rendered)).toEqual([]);
});

/** A file, a replacement in it that Grafana would reject, and the violation. */
const rejected: readonly (readonly [path: string, from: RegExp, to: string, violation: RegExp])[] = [
  [rules, /interval: 10s/, 'interval: 15s', /interval 15s is not a multiple of 10 s/],
  [rules, /interval: 10s/, 'interval: fast', /interval fast is not a multiple/],
  [rules, /uid: tollgatelag/, `uid: ${'x'.repeat(41)}`, /more than 40 characters/],
  [rules, /uid: tollgatelag/, 'uid: tollgatedrift', /tollgatedrift is not unique/],
  [rules, /uid: tollgatelag/, 'uid: toll gate', /characters other than/],
  [rules, /from: 600/, 'from: 0', /relativeTimeRange is empty/],
  [rules, /condition: C/, 'condition: B', /the condition is no refId/],
  [rules, /expression: A/, 'expression: D', /no query has refId D/],
  [rules, /noDataState: \w+/, 'noDataState: Ok', /noDataState is not valid/],
  [rules, /execErrState: \w+/, 'execErrState: NoData', /execErrState is not valid/],
  [rules, /datasourceUid: tollgate-prometheus/, 'datasourceUid: prom', /prom is not provisioned/],
  [rules, /type: gt/, 'type: above', /evaluator is not valid/],
  [rules, /panelId: \d+/, 'panelId: 999', /panel does not exist/],
  [rules, /tollgate-runbook-lag/, 'tollgate-runbook-gone', /tollgate-runbook-gone leads to nothing/],
  [rules, /title: TollgateLag/, 'title: $Lag', /replaces \$Lag by an environment variable/],
  [policy, /receiver: tollgate-team/, 'receiver: nowhere', /contact point nowhere does not exist/],
  [rules, /notified_by: alertmanager/, 'notified_by: grafana', /is sent by Grafana and by Alertmanager/],
  [rules, /notified_by: grafana/, 'notified_by: alertmanager', /TollgatePrometheusDown is sent by no system/],
  [policy, /mute_time_intervals:\n\s+- \S+/, 'continue: false', /is sent by Grafana and by Alertmanager/],
  [policy, /- tollgate-always/, '- never', /mute time never does not exist/],
  [prometheus, /alertmanagers:/, 'others:', /is sent by no system/],
  [policy, /group_wait: 10s/, 'group_wait: soon', /group_wait is not a duration/],
  [fleet, /"uid": "tollgate-fleet"/, '"uid": "tollgate-tenant"', /tollgate-tenant is not unique/],
  [fleet, /"unit": "reqps"/, '"unit": "requests"', /unit requests is not known/],
  [fleet, /"description": "Decisions per second[^"]*"/, '"description": ""', /Checks has no description/],
  [fleet, /"title": "Checks"/, '"title": ""', /has no title/],
  [fleet, /"value": "tollgate-prometheus"/, '"value": "other"', /\$\{prometheus\} is not provisioned/],
  [fleet, /"refId": "B"/, '"refId": "A"', /refIds are not unique/],
  [runbook, /# Lag/, '# [Lag](events-lost.md)', /events-lost\.md leads to nothing in Grafana/],
];

describe('B8: the check of the provisioning finds what Grafana rejects', () => {
  test.each(rejected)('%s with %s as %s', (path, from, to, violation) => {
    const files = new Map(rendered);
    const original = files.get(path) ?? '';
    files.set(path, original.replace(from, to));
    expect(files.get(path)).not.toBe(original);
    expect(grafanaViolations(files).join('\n')).toMatch(violation);
  });
});
