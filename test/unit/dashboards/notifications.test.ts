import { describe, expect, test } from 'vitest';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { prometheusDown } from '../../../dashboards/alerts/availability-rules.ts';
import { alertRuleGroups } from '../../../dashboards/alerts/grafana.ts';
import { inhibitions } from '../../../dashboards/alerts/inhibitions.ts';
import { prometheusConfig } from '../../../dashboards/alerts/prometheus.ts';
import type { AlertRule } from '../../../dashboards/alerts/rule.ts';
import { builtDashboards, panelIdsOf, renderAll } from '../../../dashboards/render.ts';
import { containers } from '../../../dashboards/settings.ts';
import { stringify } from 'yaml';
import { grafanaViolations } from './grafana/violations.ts';

describe.each(['alertmanager', 'grafana'] as const)('B8: where the setting is %s', (notifier) => {
  test('each alert is sent by exactly one system', () => {
    const files = new Map(renderAll());
    const groups = alertRuleGroups(alertRules, panelIdsOf(builtDashboards()), notifier);
    files.set('grafana/provisioning/alerting/rules.yaml', stringify(groups));
    files.set('prometheus/prometheus.yml', stringify(prometheusConfig(containers, undefined, notifier)));
    expect(grafanaViolations(files)).toEqual([]);
  });
});

describe.each([...alertRules, prometheusDown])('B8: the text of $name', (rule) => {
  test('contains only labels that the query keeps', () => {
    for (const { text, query } of [
      { text: rule.summary, query: rule.query },
      ...(rule.where ? [rule.where] : []),
    ]) {
      for (const label of labelsIn(text)) expect(keptBy(query), label).toContain(label);
    }
  });
});

/** Labels that the text of a rule uses without a condition. */
function labelsIn(text: string): string[] {
  return [...text.replaceAll(/\{\{ with [\s\S]*?\{\{ end \}\}/g, '').matchAll(/\.Labels\.(\w+)/g)].map(
    ([, label = '']) => label,
  );
}

/** Labels of the result: those of the first `by` clause. */
function keptBy(query: string): Set<string> {
  return new Set((/\bby \(([^)]*)\)/.exec(query)?.[1] ?? '').split(',').map((label) => label.trim()));
}

describe('B8: inhibition', () => {
  const ruleOf = (name: string): AlertRule | undefined => alertRules.find((rule) => rule.name === name);

  test('an alert suppresses only alerts that exist and are not more severe, and names labels of their queries', () => {
    for (const { source, sourceLabels = {}, targets, targetLabels = {}, equal = [] } of inhibitions) {
      for (const label of [...Object.keys(sourceLabels), ...equal])
        expect(keptBy(ruleOf(source)?.query ?? ''), source).toContain(label);
      for (const target of targets) {
        expect(ruleOf(target), target).toBeDefined();
        if (ruleOf(target)?.severity === 'critical') expect(ruleOf(source)?.severity).toBe('critical');
        for (const label of [...Object.keys(targetLabels), ...equal])
          expect(keptBy(ruleOf(target)?.query ?? ''), target).toContain(label);
      }
    }
  });

  test('no alert suppresses itself through others', () => {
    const suppressedBy = (source: string): string[] =>
      inhibitions.filter((one) => one.source === source).flatMap(({ targets }) => targets);
    for (const { name } of alertRules) {
      const reached = new Set(suppressedBy(name));
      // A set also visits the elements that are added during the loop.
      for (const one of reached) for (const target of suppressedBy(one)) reached.add(target);
      expect(reached, name).not.toContain(name);
    }
  });
});
