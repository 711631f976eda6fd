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
  [
    fleet,
    /"description": "allowed: served[^"]*"/,
    '"description": ""',
    /Checks by decision has no description/,
  ],
  [fleet, /"title": "Checks by decision"/, '"title": ""', /has no title/],
  [fleet, /"value": "tollgate-prometheus"/, '"value": "other"', /\$\{prometheus\} is not provisioned/],
  [fleet, /"refId": "B"/, '"refId": "A"', /refIds are not unique/],
  [
    fleet,
    /"title": "Refused"/,
    '"title": "The share of the requests that were refused"',
    /the title is cut off/,
  ],
  [
    fleet,
    /"title": "Refused",([^]*?)"url": "\/d\/tollgate-runbook-[\w-]+"/,
    '"title": "Refused",$1"url": "/d/tollgate-fleet"',
    /Refused: no link to a runbook/,
  ],
  [fleet, /"noValue": "no requests"/, '"noValue": "No data"', /does not say why it is empty/],
  [fleet, /"min": 0,/, '"min": 5,', /the scale does not start at 0/],
  [fleet, /"axisSoftMax": [\d.]+/, '"axisSoftMax": 0', /zeros are drawn on a scale to 100/],
  [fleet, /"displayMode": "table"/, '"displayMode": "list"', /the legend has no table with last and max/],
  [fleet, /"steps": \[[^\]]*\]/, '"steps": []', /has no threshold/],
  [fleet, /"value": "Alert"/, '"value": ""', /a column has no heading in words/],
  [fleet, /"id": "custom.width",\s+"value": 190/, '"id": "custom.width", "value": 1900', /scroll sideways/],
  [fleet, /"keepTime": true/, '"keepTime": true, "placement": "inControlsMenu"', /are hidden in a menu/],
  [fleet, /"collapsed": true,([^]*?)"panels": \[[^]*$/, '"collapsed": true,$1"panels": []}]}', /is empty/],
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
