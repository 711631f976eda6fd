import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { registerLimitGauge } from '../../../shared/policy/limit-gauge.ts';

const policyWith = (limit: number): string => `
version: 1
links: { documentation: https://example.com/limits, upgrade: https://example.com/pricing }
default_plan: free
quantities: { usd: { cost: true } }
prices: [{ model: '*', output_tokens: 1 }]
plans:
  free:
    limits:
      - { name: minute, per: tenant, limit: ${limit}, window: 1m }
      - { name: day, per: tenant, limit: 1000, window: 1d, type: quota }
routes:
  - match: POST /agent/chat
    limits:
      - { name: chat, per: user, limit: 10, window: 1m }
      - { name: spend, of: usd, per: user, limit: 0.25, window: 1m }
`;

test('B8: the limits of the running policy are a metric that follows its edits', async () => {
  const registry = new Registry();
  const read = (limit: number) => parsePolicy('p.yaml', policyWith(limit), {}, { secrets: 'optional' });
  let policy = read(100);
  registerLimitGauge(registry, () => policy);
  const values = async () =>
    (await registry.getSingleMetric('tollgate_policy_limit_units')?.get())?.values.map(
      ({ labels, value }) => [
        labels['plan'],
        labels['route'],
        labels['limit'],
        labels['quantity'],
        labels['type'],
        labels['window_seconds'],
        value,
      ],
    );
  expect(await values()).toEqual([
    ['free', '', 'minute', 'requests', 'sliding', 60, 100],
    ['free', '', 'day', 'requests', 'quota', 86_400, 1000],
    ['', 'POST /agent/chat', 'chat', 'requests', 'sliding', 60, 10],
    ['', 'POST /agent/chat', 'spend', 'usd', 'sliding', 60, 0.25],
  ]);
  policy = read(50);
  expect((await values())?.[0]).toEqual(['free', '', 'minute', 'requests', 'sliding', 60, 50]);
});
