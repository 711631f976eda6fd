import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alertRules } from '../../../../dashboards/alerts/alert-rules.ts';
import { alertOf, inputSeries, openPromtool } from './promtool.ts';
import type { Promtool } from './promtool.ts';
import { ruleTimelines } from './rule-timelines.ts';

let promtool: Promtool;

beforeAll(async () => {
  promtool = await openPromtool();
});

afterAll(() => promtool.close());

test('B8: every rule has timelines with an end of the fault, missing scrapes, a restart and a vanishing target', () => {
  expect(Object.keys(ruleTimelines).toSorted()).toEqual(alertRules.map(({ name }) => name).toSorted());
  for (const [name, timelines] of Object.entries(ruleTimelines)) {
    const values = timelines.flatMap(({ series }) => Object.values(series)).join(' ');
    expect(values, name).toMatch(/(^|\s)_x\d/);
    expect(values, name).toContain('stale');
    const times = timelines.flatMap(({ expected }) => Object.values(expected));
    expect(times, name).toContain(null);
    expect(
      times.some((summary) => summary !== null),
      name,
    ).toBe(true);
  }
});

describe('B8: each alert is pending, fires and ends at the expected times', () => {
  test.each(Object.entries(ruleTimelines))('%s', async (alertname, timelines) => {
    await promtool.testRules(
      [alertname, ...timelines.flatMap(({ alsoEvaluated = [] }) => alsoEvaluated)],
      timelines.map(({ title, series, expected, labels, where, whereAt = {} }) => ({
        ...{ name: title, interval: '10s', input_series: inputSeries(series) },
        alert_rule_test: Object.entries(expected).map(([seconds, summary]) => ({
          ...{ eval_time: `${seconds}s`, alertname },
          exp_alerts:
            summary === null ? [] : [alertOf(alertname, labels, summary, whereAt[Number(seconds)] ?? where)],
        })),
      })),
    );
  });
});
