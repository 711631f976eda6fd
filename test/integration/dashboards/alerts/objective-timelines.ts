import type { Timeline } from './timelines.ts';

const where = 'proxy on a:8090 (2 responses of 5xx/s)';
const rare = 'proxy on a:8090 (0.1 responses of 5xx/s)';
const of = 'entrypoint="proxy",instance="a:8090"';
const [served, failed] = [
  `tollgate_responses_total{${of},status="2xx"}`,
  `tollgate_responses_total{${of},status="5xx"}`,
];
const byUpstream = 'tollgate_upstream_failures_total{kind="status",instance="a:8090"}';

const fast = (times: number): string =>
  `Requests fail by our fault: the error budget of 30 days is spent ${times} times too fast`;
const slow = (times: number): string =>
  `Some requests fail by our fault: the error budget of 30 days is spent ${times} times too fast`;

/** While the window contains time before the fault, missing scrapes, or a restart, the rate is lower. */
const whereAt = {
  400: 'proxy on a:8090 (1.87 responses of 5xx/s)',
  540: 'proxy on a:8090 (1.3 responses of 5xx/s)',
  900: 'proxy on a:8090 (1.73 responses of 5xx/s)',
};

const rareAt = {
  1500: 'proxy on a:8090 (0.0767 responses of 5xx/s)',
  2200: 'proxy on a:8090 (0.0994 responses of 5xx/s)',
  3000: 'proxy on a:8090 (0.0972 responses of 5xx/s)',
};

/** Timelines of the rules on objectives: ten requests a second, of which some fail after two minutes. */
export const objectiveTimelines: Readonly<Record<string, readonly Timeline[]>> = {
  TollgateErrorBudgetFast: [
    {
      title: 'a fifth of the requests fails for 15 minutes',
      series: { [served]: '0+100x12 1280+80x90 8500+100x60', [failed]: '0x12 20+20x90 1820x60' },
      expected: { 120: null, 220: null, 400: fast(140), 900: fast(173.3), 1500: null },
      ...{ labels: {}, where, whereAt: { 400: 'proxy on a:8090 (1.87 responses of 5xx/s)' } },
    },
    {
      title: 'two minutes of scrapes are missing, and the gateway restarts',
      series: {
        [served]: '0+100x12 1280+80x30 _x12 4720+80x20 stale _x2 0+80x30',
        [failed]: '0x12 20+20x30 _x12 880+20x20 stale _x2 0+20x30',
      },
      expected: { 120: null, 400: fast(140), 540: fast(144.2), 900: fast(172.1) },
      ...{ labels: {}, where, whereAt },
    },
    {
      title: 'all gateways vanish',
      series: { [served]: '0+100x12 1280+80x60 stale _x60', [failed]: '0x12 20+20x60 stale _x60' },
      expected: { 120: null, 600: fast(160), 1200: null },
      ...{ labels: {}, where },
    },
    {
      title: 'the upstream fails: no alert',
      series: {
        [served]: '0+100x12 1280+80x90',
        [failed]: '0x12 20+20x90',
        [byUpstream]: '0x12 20+20x90',
      },
      expected: { 120: null, 600: null, 1000: null },
      labels: {},
    },
    {
      title: 'one of few requests fails: no alert',
      series: { [served]: '0x12 1x90', [failed]: '0x12 1x90' },
      expected: { 120: null, 600: null },
      labels: {},
    },
  ],
  TollgateErrorBudgetSlow: [
    {
      title: 'a fifth of the requests fails for 15 minutes: the fast alert has reported it',
      series: { [served]: '0+100x12 1280+80x90 8500+100x260', [failed]: '0x12 20+20x90 1820x260' },
      expected: { 900: null, 1500: null, 2400: null },
      ...{ labels: {}, alsoEvaluated: ['TollgateErrorBudgetFast'] },
    },
    {
      title: 'a hundredth of the requests fails for an hour',
      series: { [served]: '0+100x12 1299+99x360 36939+100x240', [failed]: '0x12 1+1x360 361x240' },
      expected: { 120: null, 900: null, 1500: slow(9.2), 3600: slow(9.667), 5800: null },
      ...{ labels: {}, where: rare, whereAt: rareAt },
    },
    {
      title: 'two minutes of scrapes are missing, and the gateway restarts',
      series: {
        [served]: '0+100x12 1299+99x160 _x12 18327+99x60 stale _x2 0+99x90',
        [failed]: '0x12 1+1x160 _x12 173+1x60 stale _x2 0+1x90',
      },
      expected: { 120: null, 1500: slow(9.2), 2200: slow(9.452), 3000: slow(9.593) },
      ...{ labels: {}, where: rare, whereAt: rareAt },
    },
    {
      title: 'all gateways vanish',
      series: { [served]: '0+100x12 1299+99x160 stale _x120', [failed]: '0x12 1+1x160 stale _x120' },
      expected: { 120: null, 1500: slow(9.2), 3700: null },
      ...{ labels: {}, where: rare, whereAt: rareAt },
    },
  ],
};
