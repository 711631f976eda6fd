// Goal: the pages of spend, and the lists of operators, show the figures of the stored calls and of Redis, with the
// policy's currency.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dateAt, periodAt } from '../../../shared/domain/time/calendar.ts';
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
        .replaceAll('<wbr />', '')
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
  expect(text).toMatch(/data-slot="spend">USD 1\.75</);
  const elapsedMs = Date.now() - month.startMs;
  const forecast = (1.750001 * (month.endMs - month.startMs)) / elapsedMs;
  const shown = Number(/data-slot="forecast">USD ([\d.]+)</.exec(text)?.[1] ?? Number.NaN);
  if (elapsedMs > 86_400_000) expect(Math.abs(shown - forecast)).toBeLessThan(0.02);
  expect(text).toContain(
    `/history?span=custom&amp;from=${new Date(month.startMs).toISOString().slice(0, 10)}&amp;`,
  );
  expect(rowsOf(text, 'Spend by model')).toEqual([
    ['gpt-4o', '2', '2,000', 'USD 1.75'],
    ['gpt-4o-mini', '1', '1,000', 'USD 0.00000100'],
  ]);
  expect(rowsOf(text, 'Spend by route')).toEqual([
    ['POST /v1/chat/completions', '2', '2,000', 'USD 1.50'],
    ['POST /v1/messages', '1', '1,000', 'USD 0.250'],
  ]);
});

test('F1: the spend by day follows the time zone of the tenant, and the spend by user is read on request', async () => {
  const id = uniqueName('days');
  await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', time_zone: 'Asia/Kolkata' });
  await eventually(() => Promise.resolve(fixture.directory.get(id) !== undefined));
  const today = periodAt('day', 'Asia/Kolkata', nowMs);
  const before = periodAt('day', 'Asia/Kolkata', today.startMs - 1);
  const own = periodAt('month', 'Asia/Kolkata', nowMs);
  const calls = [
    call(id, 'gpt-4o', '1', { timeMs: today.startMs + 1, user: 'ann' }),
    call(id, 'gpt-4o', '2', { timeMs: before.startMs + 1, user: 'bob' }),
    call(id, 'gpt-4o', '4', { timeMs: today.startMs - 1, user: 'bob' }),
  ].filter(({ timeMs }) => timeMs >= own.startMs);
  await storeUsage(fixture.clickhouse, calls);
  const cookie = await visit(fixture, id);
  const { text } = await get(fixture, '/spend', cookie);
  const days = rowsOf(text, 'Spend by day').map(([day, , , cost]) => [day, cost]);
  const expected = [
    [dateAt('Asia/Kolkata', today.startMs), 'USD 1.00'],
    [dateAt('Asia/Kolkata', before.startMs), 'USD 6.00'],
  ];
  expect(days).toEqual(expected.slice(0, calls.length === 1 ? 1 : 2));
  expect(text).not.toContain('Spend by user');
  const users = rowsOf((await get(fixture, '/spend?users=1', cookie)).text, 'Spend by user');
  expect(users.at(-1)?.slice(0, 2)).toEqual(['ann', '1']);
  if (calls.length === 3) expect(users[0]).toEqual(['bob', '2', '2,000', 'USD 6.00']);
});

test('F1: the month of the spend begins on the billing day of the tenant', async () => {
  const id = uniqueName('billing');
  const today = new Date(nowMs).getUTCDate();
  const billingDay = Math.max(1, today - 1);
  await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', billing_day: billingDay });
  const period = periodAt('month', `UTC@${billingDay}`, nowMs);
  await storeUsage(fixture.clickhouse, [
    call(id, 'gpt-4o', '1'),
    call(id, 'gpt-4o', '9', { timeMs: period.startMs - 60_000 }),
  ]);
  const { text } = await get(fixture, '/spend', await visit(fixture, id));
  expect(text).toMatch(/data-slot="spend">USD 1\.00</);
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
  expect(spend?.slice(0, 5)).toEqual(['Spend', 'USD 2.00', 'USD 0.500', 'USD 2.50', 'USD 5.00']);
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
    [free, 'Free', 'USD 4.00', 'USD 4.00', 'USD 0.00', expect.stringMatching(/^USD -[\d.,]+$/)],
    [pro, 'Pro', 'USD 2.00', 'USD 3.00', 'USD 249.00', expect.stringMatching(/^USD /)],
    [unknown, 'Gone', 'USD 1.00', 'USD 1.00', 'no price', 'no price'],
  ]);
  const projected = Number(rows[1]?.[4]?.replaceAll(/[^\d.]/g, ''));
  const projectedAt = (timeMs: number): number =>
    (3 * (month.endMs - month.startMs)) / Math.max(timeMs - month.startMs, 3_600_000);
  // It falls while the month goes on, in its first hours by more than a cent in a second.
  expect(projected).toBeLessThanOrEqual(projectedAt(nowMs) + 0.01);
  expect(projected).toBeGreaterThanOrEqual(projectedAt(Date.now()) - 0.01);
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

test('C7: an operator filters and orders the tenants in the address, and downloads the list', async () => {
  const prefix = uniqueName('list');
  const [growing, shrinking, blocked] = [`${prefix}-growing`, `${prefix}-shrinking`, `${prefix}-blocked`];
  const daysAgo = (tenant: string, days: number, count: number): StoredEvent[] =>
    Array.from({ length: count }, () => ({ tenant, plan: 'free', timeMs: nowMs - days * 86_400_000 }));
  await storeUsage(fixture.clickhouse, [
    ...[...daysAgo(growing, 3, 3), ...daysAgo(growing, 10, 2), ...daysAgo(growing, 0, 1)],
    ...[...daysAgo(shrinking, 3, 1), ...daysAgo(shrinking, 10, 4), ...daysAgo(shrinking, 0, 2)],
  ]);
  await fixture.admin(`POST /admin/v1/tenants/${blocked}/block`, { reason: 'abuse' });
  const list = async (query: string): Promise<string[]> => {
    const { text } = await get(fixture, `/operator/tenants?search=${prefix}${query}`, operator);
    return rowsOf(text, 'Tenants').map(([name = '', plan = '']) => `${name} ${plan}`.trim());
  };
  expect(await list('')).toEqual([
    `${shrinking} Free no record`,
    `${growing} Free no record`,
    `${blocked} Free blocked`,
  ]);
  expect((await list('&sort=growth'))[0]).toBe(`${growing} Free no record`);
  expect((await list('&sort=growth&order=asc'))[0]).toBe(`${shrinking} Free no record`);
  expect(await list('&state=blocked')).toEqual([`${blocked} Free blocked`]);
  expect((await get(fixture, '/operator/start', operator)).text).toMatch(/\d+ tenants? (is|are) blocked\./);
  const unknown = await get(fixture, '/operator/tenants?plan=gold', operator);
  expect(unknown.text).toMatch(/The policy has no plan “gold”; it has: /);
  const { text, headers } = await get(fixture, `/operator/tenants?search=${prefix}&format=csv`, operator);
  expect(String(headers['content-type'])).toContain('text/csv');
  const [head = '', ...lines] = text.trim().split('\r\n');
  expect(head).toContain('tenant_id,name,plan');
  expect(lines).toHaveLength(3);
  const answer = await fixture.admin(`GET /admin/v1/tenants?search=${prefix}&sort=growth&limit=1`);
  expect(answer.body['tenants']).toMatchObject([{ tenant_id: growing, growth: 0.5 }]);
  const refused = await fixture.admin('GET /admin/v1/tenants?plan=gold');
  expect(refused).toMatchObject({ status: 422, body: { title: 'No such plan' } });
});

test('C3: tenants are ordered by the used share of their fullest limit, in the console and in the admin API', async () => {
  const prefix = uniqueName('share');
  for (const [name, used] of [
    ['low', 1],
    ['full', 9],
  ] as const) {
    await fixture.admin(`PUT /admin/v1/tenants/${prefix}-${name}`, { plan: 'free' });
    await fixture.spend(`${prefix}-${name}`, used);
  }
  const { text } = await get(fixture, `/operator/tenants?search=${prefix}&sort=share`, operator);
  expect(rowsOf(text, 'Tenants').map(([name]) => name)).toEqual([`${prefix}-full`, `${prefix}-low`]);
  const { body } = await fixture.admin(`GET /admin/v1/tenants?search=${prefix}&sort=share`);
  const [first] = body['tenants'] as { tenant_id: string; fullest_limit: { used: number } }[];
  expect(first).toMatchObject({ tenant_id: `${prefix}-full`, fullest_limit: { used: 9 } });
});
