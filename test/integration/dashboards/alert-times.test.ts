import { afterAll, beforeAll, describe, test } from 'vitest';
import { loopback } from '../../../dashboards/settings.ts';
import { alertOf, inputSeries, openPromtool } from './promtool.ts';
import type { Promtool } from './promtool.ts';

let promtool: Promtool;

beforeAll(async () => {
  promtool = await openPromtool();
});

afterAll(() => promtool.close());

/** Times of the evaluations: there is a sample every 10 s, and the fault begins after 2 minutes. */
describe('B8: a fault raises its alert within two minutes and the alert ends with the fault', () => {
  const aggregator = 'up{job="tollgate-aggregator",instance="a:8091"}';
  const others = Object.fromEntries(
    Object.keys(loopback.services)
      .filter((service) => service !== 'aggregator')
      .map((service) => [`up{job="tollgate-${service}",instance="b:1"}`, '1x60']),
  );
  const labels = { job: 'tollgate-aggregator', instance: 'a:8091' };
  const killed = alertOf(
    'TollgateServiceDown',
    labels,
    'tollgate-aggregator at a:8091 does not answer (up is 0)',
  );
  const gone = alertOf(
    'TollgateServiceDown',
    { job: 'tollgate-aggregator' },
    'tollgate-aggregator does not answer (up is 0)',
  );
  const redis = (percent: number): object =>
    alertOf(
      'TollgateRedisFailing',
      {},
      `${percent}% of the checks of the last 2 minutes were decided without Redis`,
    );

  test.each<readonly [string, string, Readonly<Record<string, string>>, Readonly<Record<string, object[]>>]>([
    [
      'the aggregator is killed, and starts again after 4 minutes',
      'TollgateServiceDown',
      { ...others, [aggregator]: '1x12 0x24 1x24' },
      { '2m': [], '3m40s': [killed], '6m': [killed], '6m30s': [] },
    ],
    [
      'the aggregator disappears from the targets',
      'TollgateServiceDown',
      { ...others, [aggregator]: '1x12 stale _x24 1x24' },
      { '2m': [], '3m40s': [gone], '6m40s': [] },
    ],
    [
      'Redis is stopped for a minute',
      'TollgateRedisFailing',
      {
        tollgate_checks_total: '0+100x60',
        tollgate_checks_degraded_total: '0x12 100+100x5 600x42',
      },
      { '2m': [], '3m': [redis(50)], '6m': [] },
    ],
  ])('%s', async (_, alertname, series, expected) => {
    const alerts = Object.entries(expected).map(([time, exp_alerts]) => ({
      ...{ eval_time: time, alertname, exp_alerts },
    }));
    await promtool.testRules([
      { interval: '10s', input_series: inputSeries(series), alert_rule_test: alerts },
    ]);
  });
});
