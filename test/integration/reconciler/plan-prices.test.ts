// Goal: ClickHouse has the plans and prices of the policy in force, right after each edit.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, test } from 'vitest';
import { startPlanPrices } from '../../../services/reconciler/plan-prices.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { watchPolicy } from '../../../shared/policy/load.ts';
import { policyEnv, policyText } from '../../unit/policy/text.ts';
import { eventually } from '../../support/servers.ts';
import { freshDatabase } from './database.ts';

const logger = pino({ level: 'silent' });
const limits = 'limits: [{ name: minute, per: tenant, limit: 5, window: 1m }]';
let clickhouse: ClickHouse;
let folder: string;

beforeAll(async () => {
  clickhouse = await freshDatabase();
  folder = await mkdtemp(join(tmpdir(), 'tollgate-plans-'));
});
afterAll(async () => {
  await clickhouse.command(`DROP DATABASE ${clickhouse.options.database}`);
  await clickhouse.close();
  await rm(folder, { recursive: true });
});

const recorded = async (): Promise<string[]> => {
  const rows = await clickhouse.query<{ plan: string; price: string | null; currency: string }>(
    'SELECT plan, toString(price) AS price, currency FROM plans ORDER BY plan',
  );
  return rows.map(({ plan, price, currency }) => `${plan}: ${price ?? 'no price'} ${currency}`);
};

test('an edit replaces prices, currency and removed plans, and a failed write is repeated', async () => {
  const path = join(folder, 'policy.yaml');
  const write = (plans: string, currency: string): Promise<void> =>
    writeFile(path, policyText({ plans, currency }));
  await write(
    `{ free: { price: 0, ${limits} }, pro: { price: 49.9, ${limits} }, old: { ${limits} } }`,
    'USD',
  );
  const registry = new Registry();
  const policy = await watchPolicy(path, policyEnv, { logger, registry, pollIntervalMs: 100 });
  let failures = 1;
  const failingOnce: ClickHouse = {
    ...clickhouse,
    command: async (...args) => {
      if (failures-- > 0) throw new Error('ClickHouse does not answer');
      await clickhouse.command(...args);
    },
  };
  const prices = startPlanPrices({ clickhouse: failingOnce, policy, logger, retryMs: 20 });
  const isRecorded = (rows: readonly string[]) =>
    eventually(async () => JSON.stringify(await recorded()) === JSON.stringify(rows));
  await isRecorded(['free: 0 USD', 'old: no price USD', 'pro: 49.9 USD']);
  await write(`{ free: { ${limits} }, pro: { price: 59, ${limits} } }`, 'EUR');
  await isRecorded(['free: no price EUR', 'pro: 59 EUR']);
  await prices.close();
  await policy.close();
});
