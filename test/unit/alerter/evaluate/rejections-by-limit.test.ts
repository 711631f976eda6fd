// Goal: a tenant is notified of refusals by the limits and from the numbers that it has set, and of heavy refusals without settings.
import { expect, test } from 'vitest';
import { createRejectionAlerts } from '../../../../services/alerter/evaluate/rejection-alerts.ts';
import { dueRejections, wantedRefusals } from '../../../../services/alerter/evaluate/rejections.ts';

const heavy = { refused: 40, requests: 100 };
const refusing = [
  { name: 'minute', lastMinute: 40 },
  { name: 'chat', lastMinute: 4 },
];

test.each([
  ['nothing set, few refusals', {}, null, []],
  ['nothing set, many refusals', {}, heavy, ['minute 40']],
  ['a number that is reached', { chat: { refusals: 4 } }, null, ['chat 4']],
  ['a number that is not reached', { chat: { refusals: 5 } }, null, []],
  [
    'a number for another limit than the heavy one',
    { chat: { refusals: 4 } },
    heavy,
    ['minute 40', 'chat 4'],
  ],
  ['a higher number than the heavy refusals', { minute: { refusals: 50 } }, heavy, []],
  ['thresholds only', { chat: { thresholds: [0.5] } }, null, []],
] as const)('%s', (_what, limits, counts, expected) => {
  const due = dueRejections(refusing, wantedRefusals({ limits }), counts, 100);
  expect(due.map(({ name, rejections }) => `${name} ${rejections.refused}`)).toEqual(expected);
});

test('one query reads the refusing limits of all due tenants of a batch', async () => {
  const queries: Record<string, unknown>[] = [];
  const alerts = createRejectionAlerts({
    clickhouse: {
      query: (_sql: string, params: Record<string, unknown>) => {
        queries.push(params);
        return Promise.resolve([
          { tenantId: 'a', name: 'minute', lastMinute: 9 },
          { tenantId: 'b', name: 'minute', lastMinute: 1 },
          { tenantId: 'c', name: 'minute', lastMinute: 5 },
        ]);
      },
    } as never,
    tenants: { get: () => ({ notifications: { limits: { minute: { refusals: 5 } } } }) } as never,
    history: { of: () => null },
    clock: { now: () => 0 },
  });
  const totals = (tenant_id: string, limited: number) => ({
    ...{ tenant_id, plan: 'free', announced_at: '2027-01-01T00:00:00Z' },
    day: { limited, requests: 100 },
  });
  const batch = [totals('a', 9), totals('b', 1), totals('c', 5), totals('none-refused', 0)];
  const due = await alerts.evaluate(batch.map((one) => ({ totals: one as never, quotas: [] })));
  expect(due.map(({ tenant_id: id, used }) => [id, used])).toEqual([
    ['a', 9],
    ['c', 5],
  ]);
  expect(queries).toMatchObject([{ tenants: ['a', 'b', 'c'] }]);
});
