import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copyCheckout } from '../support/checkout.ts';
import type { Checkout, StackFile, StartedStack } from '../support/checkout.ts';
import { eventually } from '../support/servers.ts';
import { launchBrowser } from './browser.ts';

/** Journeys of a tenant through the portal of a complete `npm start`: gateway, pipeline and console. */
let checkout: Checkout;
let started: StartedStack;
let stack: StackFile;
let browser: Browser;

beforeAll(async () => {
  checkout = await copyCheckout();
  started = checkout.start(['--no-traffic']);
  await eventually(() => started.output().includes('Tollgate is ready'), { timeoutMs: 120_000 });
  stack = (await checkout.stackFile())!;
  browser = await launchBrowser();
}, 180_000);
afterAll(async () => {
  await browser.close();
  started.signal('SIGTERM');
  await started.exited;
  await checkout.remove();
}, 60_000);

async function openPortal(tenantId: string): Promise<Page> {
  const context = await browser.newContext({ acceptDownloads: true });
  const page = await context.newPage();
  await page.goto(stack.links.portal.replace(/[^/]+$/, tenantId));
  return page;
}

async function call(path: string, jwt: string, method = 'GET'): Promise<Response> {
  return await fetch(stack.urls['gateway']! + path, { method, headers: { authorization: `Bearer ${jwt}` } });
}

describe('a call that was refused', () => {
  test('B4: Now moves while calls are made, and the decision of a 429 is found by its id and explained', async () => {
    const tenant = stack.tenants.find(({ plan, busy }) => plan === 'pro' && !busy)!;
    const page = await openPortal(tenant.tenant_id);
    const used = page.locator('[data-limit="* minute"] [data-slot=used]');
    await used.waitFor();
    const before = Number(await used.textContent());
    const statuses = [];
    for (let at = 0; at < 5; at++) statuses.push((await call('/health', tenant.jwt)).status);
    const calledAt = performance.now();
    await expect.poll(async () => Number(await used.textContent()), { interval: 20 }).toBe(before + 5);
    console.log(`Now showed the calls ${Math.round(performance.now() - calledAt)} ms after the last`);
    expect(statuses).toEqual([200, 200, 200, 200, 200]);

    let refused: Response;
    do refused = await call('/agent/chat', tenant.jwt, 'POST');
    while (refused.status === 200);
    expect(refused.status).toBe(429);
    const { decision_id: id } = (await refused.json()) as { decision_id: string };
    await page.getByRole('link', { name: 'Refusals' }).first().click();
    await expect
      .poll(async () => {
        await page.goto(`${stack.urls['console']}/refusals`);
        await page.getByLabel('Decision id').fill(id);
        await page.getByRole('button', { name: 'Look up' }).click();
        return await page.getByRole('heading', { level: 1 }).textContent();
      })
      .toBe('Why this was refused');
    const text = (await page.locator('main').textContent()) ?? '';
    expect(text).toContain(id);
    expect(text).toMatch(/What to do:/);
    expect(text, 'the limit and its numbers').toMatch(/chat/);
    expect(text).toMatch(/It would have passed at the latest/);
  });
});

describe('history', () => {
  test('a date that is entered applies, whatever time was chosen before', async () => {
    const page = await openPortal('acme');
    await page.goto(new URL('/history?span=7d', page.url()).href);
    const day = new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 10);
    await page.getByLabel('From (UTC)').fill(day);
    await page.getByRole('button', { name: 'Show' }).click();
    await page.waitForURL((url) => url.searchParams.get('span') === 'custom');
    expect(new URL(page.url()).searchParams.get('from')).toBe(day);
    expect(await page.getByLabel('From (UTC)').inputValue()).toBe(day);
  });

  test('B10: usage is filtered, compared with the period before, read by keyboard, and exported as it is shown', async () => {
    const page = await openPortal('acme');
    await page.getByRole('link', { name: 'History' }).first().click();
    await page.getByRole('link', { name: '7 days' }).click();
    await page.getByLabel('Divided by').selectOption('route');
    await page.getByLabel('Compare').selectOption('with the period before');
    await page.getByRole('button', { name: 'Show' }).click();
    await page.locator('[data-chart][data-drawn]').waitFor();
    expect(Object.fromEntries(new URL(page.url()).searchParams)).toMatchObject({ by: 'route', compare: '1' });

    const legend = page.locator('.chart-legend button');
    const [first] = await legend.allTextContents();
    expect(await legend.last().textContent()).toBe('Previous period');
    await legend.first().click();
    expect(await legend.first().getAttribute('aria-pressed')).toBe('false');
    const plot = page.locator('.chart-plot');
    await plot.focus();
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    const tooltip = await page.locator('.chart-tooltip').textContent();
    expect(tooltip, 'a series that the legend hides is not in the tooltip').not.toContain(`${first}:`);
    expect(tooltip).toContain('Previous period:');
    const status = await page.locator('[data-chart-status]').textContent();
    expect(status, 'what a screen reader says').toContain('Previous period ');
    expect(status).not.toContain(`${first} `);

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download as CSV' }).click(),
    ]);
    const [head = '', ...lines] = (await readFile(await download.path(), 'utf8')).trim().split('\n');
    const at = head.split(',').indexOf('requests');
    const exported = lines.reduce((sum, line) => sum + Number(line.split(',')[at]), 0);
    const shown = await page.locator('.tiles div', { hasText: 'Requests' }).locator('dd').textContent();
    expect(exported).toBeGreaterThan(0);
    expect(exported).toBe(Number(/[\d,  ]+/.exec(shown ?? '')![0].replaceAll(/\D/g, '')));
  });
});
