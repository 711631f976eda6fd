// Goal: the pages of spend show the figures of the stored calls and of Redis, with the policy's currency.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { periodAt } from '../../../shared/domain/time/calendar.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import type { StoredEvent } from '../../support/stored-usage.ts';
import { get, post, visit } from './browser.ts';
import { adminToken, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';

const policyPath = 'policies/ai-budgets.yaml';
const nowMs = Date.now();
const month = periodAt('month', null, nowMs);
let fixture: Fixture;
let operator: string;

beforeAll(async () => {
  fixture = await createFixture({ policyPath });
  const page = await post(fixture, '/operator/sign-in', { name: 'kim', token: adminToken });
  operator = page.cookie.split(';')[0] ?? '';
});
afterAll(() => fixture.dispose());

const call = (
  tenant: string,
  model: string,
  usd: string,
  changes: Partial<StoredEvent> = {},
): StoredEvent => ({
  ...{ tenant, model, plan: 'free', timeMs: Math.max(nowMs - 60_000, month.startMs), cost: usd },
  ...{ route: 'POST /v1/chat/completions', quantities: { tokens: 1_000, usd } },
  ...changes,
});

/** The cells of each row of a table, without markup. */
function rowsOf(text: string, caption: string): string[][] {
  const [, body = ''] =
    new RegExp(`<caption[^>]*>\\s*${caption}\\s*</caption>([^]*?)</table>`).exec(text) ?? [];
  return [...body.matchAll(/<tr role="row">([^]*?)<\/tr>/g)].slice(1).map(([, row = '']) =>
    [...row.matchAll(/<t[hd] [^>]*>([^]*?)<\/t[hd]>/g)].map(([, cell = '']) =>
      cell
        .replaceAll(/<[^>]*>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    ),
  );
}

test('F1: a tenant sees its spend of the month by model and route, with currency, and no other tenant’s', async () => {
  const id = uniqueName('spending');
  await storeUsage(fixture.clickhouse, [
    call(id, 'gpt-4o', '1.5'),
    call(id, 'gpt-4o', '0.25', { route: 'POST /v1/messages' }),
    call(id, 'gpt-4o-mini', '0.000001'),
    call(id, 'gpt-4o', '9', { decision: 'limited', limitedBy: ['spend'] }),
    call(id, 'gpt-4o', '9', { timeMs: month.startMs - 1_000 }),
    call(uniqueName('other'), 'gpt-4o', '5'),
    { tenant: id, timeMs: nowMs, cost: 3 },
  ]);
  const { text } = await get(fixture, '/spend', await visit(fixture, id));
  expect(text).toMatch(/data-slot="spend">1\.75 USD</);
  expect(rowsOf(text, 'Spend by model')).toEqual([
    ['gpt-4o', '2', '2,000', '1.75 USD'],
    ['gpt-4o-mini', '1', '1,000', '0.00000100 USD'],
  ]);
  expect(rowsOf(text, 'Spend by route')).toEqual([
    ['POST /v1/chat/completions', '2', '2,000', '1.50 USD'],
    ['POST /v1/messages', '1', '1,000', '0.250 USD'],
  ]);
});

test('F1: a budget shows what is used, reserved and left', async () => {
  const id = uniqueName('budget');
  const policy = await loadPolicy(policyPath, {}, { secrets: 'optional' });
  const limits = policy.plans.get('free')?.limits.filter(({ name }) => name === 'spend') ?? [];
  const request = { tenantId: id, userId: null, ip: '192.0.2.1', limits, cost: 1, peek: false };
  await eventually(async () => !(await fixture.limiter.check({ ...request, peek: true })).degraded);
  await fixture.limiter.check({ ...request, amounts: { usd: 2_000_000 } });
  await fixture.limiter.check({
    ...{ ...request, amounts: { usd: 500_000 } },
    reservation: { id: uniqueName('r'), expiresMs: 60_000, details: '{}' },
  });
  const { text } = await get(fixture, '/spend', await visit(fixture, id));
  const spend = rowsOf(text, 'Budgets').find(([name]) => name === 'Spend');
  expect(spend?.slice(0, 5)).toEqual(['Spend', '2.00 USD', '0.500 USD', '2.50 USD', '5.00 USD']);
});

test('F1: a budget of a tenant with a billing day ends with the month of the tenant', async () => {
  const id = uniqueName('billed');
  await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', billing_day: 15 });
  await eventually(() => Promise.resolve(fixture.directory.get(id) !== undefined));
  const { text } = await get(fixture, '/spend', await visit(fixture, id));
  const spend = rowsOf(text, 'Budgets').find(([name]) => name === 'Spend');
  expect(spend?.at(-1)).toBe(formatTime(periodAt('month', 'UTC@15', nowMs).endMs));
});

test('C7: an operator sees spend, price and margin of each tenant, the lowest margin first', async () => {
  const [pro, free, unknown] = [uniqueName('pro'), uniqueName('free'), uniqueName('unknown')];
  await storeUsage(fixture.clickhouse, [
    call(pro, 'gpt-4o', '2', { plan: 'pro' }),
    { tenant: pro, plan: 'pro', timeMs: Math.max(nowMs - 60_000, month.startMs), cost: 1 },
    call(free, 'gpt-4o', '4'),
    call(unknown, 'gpt-4o', '1', { plan: 'gone' }),
  ]);
  const { text } = await get(fixture, '/operator/spend', operator);
  const rows = rowsOf(text, 'Spend by tenant').filter(([name = '']) => [pro, free, unknown].includes(name));
  expect(rows.map((row) => row.filter((_, column) => column !== 4))).toEqual([
    [free, 'Free', '4.00 USD', '4.00 USD', '0.00 USD', expect.stringMatching(/^-[\d.,]+ USD$/)],
    [pro, 'Pro', '2.00 USD', '3.00 USD', '249.00 USD', expect.stringMatching(/ USD$/)],
    [unknown, 'Gone', '1.00 USD', '1.00 USD', 'no price', 'no price'],
  ]);
  const elapsedMs = Math.max(nowMs - month.startMs, 3_600_000);
  const projected = Number(rows[1]?.[4]?.replaceAll(/[^\d.]/g, ''));
  expect(projected).toBeCloseTo((3 * (month.endMs - month.startMs)) / elapsedMs, 0);
});

test('F1: an operator sees the calls that were never settled', async () => {
  const id = uniqueName('unsettled');
  const reservation = { reservation: 'open', reserved: { tokens: 700, usd: '0.02' } } as const;
  await storeUsage(fixture.clickhouse, [
    call(id, 'gpt-4o', '0.02', { ...reservation, timeMs: nowMs - 900_000, reservedUntilMs: nowMs - 300_000 }),
    call(id, 'gpt-4o', '0.02', { ...reservation, timeMs: nowMs - 1_000, reservedUntilMs: nowMs + 600_000 }),
  ]);
  const states = async (path: string): Promise<(string | undefined)[]> =>
    rowsOf((await get(fixture, path, operator)).text, 'Reservations')
      .filter((row) => row[2] === id)
      .map((row) => `${row[0]} ${row[6]}`);
  expect(await states('/operator/reservations')).toEqual([
    'expired 700 tokens, 0.02 usd',
    'open 700 tokens, 0.02 usd',
  ]);
  expect(await states('/operator/reservations?state=expired')).toEqual(['expired 700 tokens, 0.02 usd']);
});
