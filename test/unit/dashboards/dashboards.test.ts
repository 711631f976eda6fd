import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { summaryOf } from '../../../dashboards/alerts/rule.ts';
import { prometheusDown } from '../../../dashboards/alerts/availability-rules.ts';
import { allPanels, builtDashboards } from '../../../dashboards/render.ts';
import { runbookNames } from '../../../dashboards/boards/runbooks.ts';
import { runbookUid, uids } from '../../../dashboards/boards/sources.ts';

interface BuiltPanel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly refId: string; readonly datasource: { readonly uid: string } }[];
}

const dashboards = [...builtDashboards()].map(([name, dashboard]) => ({
  name,
  dashboard,
  panels: allPanels(dashboard) as unknown as readonly BuiltPanel[],
}));

describe.each(dashboards)('B8: the dashboard $name', ({ dashboard, panels }) => {
  const shown = panels.filter(({ type }) => type !== 'row');

  test('every panel has a description and a unit', () => {
    for (const { title, description, type, fieldConfig } of shown) {
      expect((description ?? '').length, title).toBeGreaterThan(20);
      if (type !== 'table') expect(fieldConfig?.defaults.unit, title).toBeDefined();
    }
  });

  test('panels and queries have unique ids', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { targets = [], title } of shown) {
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
  });

  test('no panels overlap', () => {
    for (const [index, { gridPos: a }] of shown.entries()) {
      expect(a.x + a.w).toBeLessThanOrEqual(24);
      for (const { gridPos: b, title } of shown.slice(index + 1)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        expect(apart, title).toBe(true);
      }
    }
  });

  test('data sources are variables that default to the provisioned sources', () => {
    const variables = dashboard.templating.list ?? [];
    const defaults = new Map(variables.map(({ name, current }) => [name, current?.value]));
    expect(defaults.get('prometheus')).toBe('tollgate-prometheus');
    expect(defaults.get('clickhouse')).toBe('tollgate-clickhouse');
    for (const { targets = [] } of shown) {
      for (const { datasource } of targets)
        expect(['${prometheus}', '${clickhouse}']).toContain(datasource.uid);
    }
  });

  test('links lead to existing dashboards', () => {
    const linked = [...JSON.stringify(dashboard).matchAll(/\/d\/([\w-]+)/g)].map(([, uid]) => uid);
    const known = [...Object.values<string>(uids), ...runbookNames().map(runbookUid)];
    for (const uid of linked) expect(known).toContain(uid);
  });
});

describe.each(alertRules)('B8: the alert $name', (rule) => {
  const { runbook, dashboard, panel, query, summary, action } = rule;

  test('links to a panel that shows its query', () => {
    const found = dashboards
      .find(({ name }) => name === dashboard)
      ?.panels.find(({ title }) => title === panel);
    expect(found, panel).toBeDefined();
    const metric = /tollgate[:_][\w:]+|\bup\b/.exec(query)?.[0].replace(/_(bucket|sum|count)$/, '') ?? '';
    expect(JSON.stringify(found?.targets)).toContain(metric);
  });

  test('has a runbook: symptom, meaning, first checks, fixes, prevention', () => {
    expect(runbookNames()).toContain(runbook);
    const text = readFileSync(join(import.meta.dirname, `../../../docs/runbooks/${runbook}.md`), 'utf8');
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(['Symptom', 'What it means', 'First checks', 'Fixes', 'Prevention']);
    expect(text).toMatch(/^```/m);
  });

  test('has its value in the summary, and says what to do', () => {
    expect(summary).toContain('VALUE');
    expect(action).toMatch(/^[A-Z].*\.$/);
  });

  test('counts one thing in the singular and others in the plural', () => {
    const counts = rule.format === 'count' || rule.format === 'number';
    const followsValue = /VALUE (?!(?:of|by|times too fast)\b|\{[^{}|]+\|[^{}|]+\})\w+/;
    expect(counts ? followsValue.exec(summary)?.[0] : undefined).toBeUndefined();
    const agreeing = (_printed: string, one: string, many: string) => `${one} or ${many}`;
    const value = { number: '1', count: '1', percentage: '1 %', duration: '1 s', bytes: '1 B' };
    expect(summaryOf(rule, { value, agreeing })).not.toMatch(/VALUE|(?<!\{)\{[^{]|\|/);
  });
});

/** Runbooks of panels that show no alert. */
const panelRunbooks = ['usage-figures'];

test('every runbook belongs to an alert or to panels, and every link between documents has a target', () => {
  const folder = join(import.meta.dirname, '../../../docs/runbooks');
  expect(runbookNames()).toEqual(
    [...new Set([...alertRules, prometheusDown].map(({ runbook }) => runbook)), ...panelRunbooks].toSorted(),
  );
  for (const name of runbookNames()) {
    const text = readFileSync(join(folder, `${name}.md`), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)\)/g)) {
      if (!target.startsWith('http'))
        expect(existsSync(join(folder, target)), `${name}: ${target}`).toBe(true);
    }
  }
});
