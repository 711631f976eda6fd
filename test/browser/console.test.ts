import axeCore from 'axe-core';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needProgram } from '../../dev/packages.ts';
import { adminToken, createFixture } from '../integration/console/fixture.ts';
import type { Fixture } from '../integration/console/fixture.ts';
import { uniqueName } from '../support/servers.ts';
import { storeUsage } from '../support/stored-usage.ts';

let fixture: Fixture;
let browser: Browser;
let url: string;
beforeAll(async () => {
  fixture = await createFixture();
  url = await fixture.consoleApp.listen({ host: '127.0.0.1', port: 0 });
  browser = await chromium.launch({
    executablePath: await needProgram('chromium', () => undefined),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ],
  });
});
afterAll(async () => {
  await browser.close();
  await fixture.dispose();
});

/** Opens a page in a new browser profile and collects the errors and warnings of the page in `complaints`. */
async function open(options: BrowserContextOptions = {}): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => void complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  return { page, complaints };
}

async function linkTo(tenantId: string, ttlMs = 60_000): Promise<string> {
  return `${url}/sign-in?token=${await fixture.link(tenantId, ttlMs)}`;
}

/** Runs in the page. Returns the colours in the canvas of a graph as `r,g,b`. */
const drawnColours = `(() => {
  const canvas = document.querySelector('[data-chart] canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add(data.slice(at, at + 3).join());
  return [...seen];
})()`;

/**
 * Runs in the page. Returns the width of its content, the number of main headings, whether the tab of the page is
 * visible, and the form fields without a label.
 */
const layout = `({
  wide: document.documentElement.scrollWidth,
  heads: document.querySelectorAll('h1').length,
  here: (({ left, right }) => left >= 0 && right <= innerWidth)(document.querySelector('.tabs [aria-current]').getBoundingClientRect()),
  unnamed: [...document.querySelectorAll('input, select, textarea')].filter((field) => field.labels.length === 0).length,
})`;

/** Runs in the page. Returns the accessibility rules that the page violates, with the first element. */
const axe = `${axeCore.source};
  axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html.slice(0, 200)))`;

describe('the portal in a browser', () => {
  test('B4: a link signs in, usage is shown and refreshed without a reload, and the graph is drawn', async () => {
    const id = uniqueName('browser');
    await fixture.spend(id, 30);
    await storeUsage(fixture.clickhouse, [
      ...Array.from({ length: 40 }, (_, at) => ({ timeMs: Date.now() - at * 1_200_000, tenant: id })),
      ...Array.from({ length: 20 }, (_, at) => ({
        timeMs: Date.now() - at * 2_400_000,
        tenant: id,
        decision: 'limited' as const,
        limitedBy: ['minute'],
      })),
    ]);
    const { page, complaints } = await open({ colorScheme: 'light' });
    await page.goto(await linkTo(id));
    expect(new URL(page.url()).pathname).toBe('/usage');
    const used = page.locator('[data-limit="* minute"] [data-slot=used]');
    expect(await used.textContent()).toBe('30');
    await fixture.spend(id, 25);
    await expect.poll(() => used.textContent(), { timeout: 8000 }).toBe('55');
    expect(await page.locator('[data-limit="* minute"] .fill').getAttribute('width')).toBe('55');
    await page.locator('[data-chart][data-drawn="96"]').waitFor();
    const colours = await page.evaluate<string[]>(drawnColours);
    expect(colours, 'served and refused bars are there').toEqual(
      expect.arrayContaining(['59,125,232', '224,102,47']),
    );
    expect(complaints).toEqual([]);
  });

  test('the countdown to the reset runs', async () => {
    const id = uniqueName('countdown');
    await fixture.spend(id, 3);
    const { page } = await open();
    await page.goto(await linkTo(id));
    const reset = page.locator('[data-limit="* minute"] [data-slot=reset]');
    const seconds = async (): Promise<number> => {
      const [, minutes = 0, rest = 0] =
        /(?:(\d+) min)?(?: ?(\d+) s)?$/.exec((await reset.textContent()) ?? '') ?? [];
      return Number(minutes) * 60 + Number(rest);
    };
    const first = await seconds();
    expect(first).toBeGreaterThan(30);
    await expect.poll(seconds, { timeout: 8000 }).toBeLessThan(first);
  });

  test('an expired link is refused with its reason', async () => {
    const { page } = await open();
    const answer = await page.goto(await linkTo('acme', -5000));
    expect(answer?.status()).toBe(401);
    expect(await page.getByRole('alert').textContent()).toContain('expired');
    await page.goto(`${url}/usage`);
    await page.getByLabel('API key or access token').waitFor();
  });

  test('B10: an API key signs in by the keyboard only', async () => {
    const { body } = await fixture.admin(`POST /admin/v1/tenants/${uniqueName('keyboard')}/api-keys`);
    const { page } = await open();
    await page.goto(url);
    await page.getByLabel('API key or access token').focus();
    await page.keyboard.type(String(body['api_key']));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Usage now' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
  });

  test('every page fits a phone, has dark colours, and obeys its content security policy', async () => {
    const id = uniqueName('phone');
    await storeUsage(fixture.clickhouse, [
      { timeMs: Date.now() - 1000, tenant: id },
      { timeMs: Date.now() - 500, tenant: id, decision: 'limited', limitedBy: ['chat'] },
    ]);
    const { page, complaints } = await open({ viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
    await page.goto(await linkTo(id));
    for (const path of ['/usage', '/history', '/spend', '/refusals', '/limits', '/notifications', '/guide']) {
      await page.goto(url + path);
      expect({ path, violations: await page.evaluate<string[]>(axe) }).toEqual({ path, violations: [] });
      expect({ path, ...(await page.evaluate<object>(layout)) }).toEqual({
        path,
        wide: 360,
        heads: 1,
        here: true,
        unnamed: 0,
      });
    }
    expect(complaints).toEqual([]);
  });
});

describe('the operator console in a browser', () => {
  test('B12: an operator raises a limit for a week, and operator and tenant see it', async () => {
    const id = uniqueName('raised');
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', display_name: `Raised ${id}` });
    const { page, complaints } = await open();
    await page.goto(`${url}/operator`);
    await page.getByLabel('Your name').fill('Robin');
    await page.getByLabel('Admin token').fill(adminToken);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByLabel('Search by id or name').fill(id);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: `Raised ${id}` }).click();
    await page.getByText('Raise a limit for a time').click();
    const form = page.locator('#boosts form').last();
    await form.getByLabel('Limit').selectOption('minute');
    await form.getByLabel('Value').fill('5');
    await form.getByLabel('Why').fill('launch week');
    await form.getByRole('button', { name: 'Raise' }).click();
    await page.getByText('Limit raised.').waitFor();
    expect(await page.locator('#boosts li').textContent()).toMatch(
      /Minute.*× 5.*running.*ends in (6|7) days/s,
    );
    const raised = page.locator('[data-limit="* minute"] [data-slot=limit]');
    await expect.poll(() => raised.textContent()).toBe('500');
    expect(fixture.directory.get(id)?.boosts).toMatchObject([
      { multiply: 5, reason: 'launch week', actor: 'Robin' },
    ]);

    const tenant = await open();
    await tenant.page.goto(await linkTo(id));
    expect(await tenant.page.locator('[data-limit="* minute"]').textContent()).toMatch(
      /of 500 used.*Raised for a time/s,
    );
    expect(complaints).toEqual([]);
  });

  test('C4: a reset needs the tenant’s id typed, and then empties the counters', async () => {
    const id = uniqueName('retyped');
    await fixture.spend(id, 70);
    const { page } = await open();
    await page.goto(`${url}/operator`);
    await page.getByLabel('Your name').fill('Robin');
    await page.getByLabel('Admin token').fill(adminToken);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Tenants' }).waitFor();
    const reset = async (typed: string): Promise<void> => {
      await page.goto(`${url}/operator/tenants/${id}`);
      const form = page.locator('form[action$="/reset"]');
      await form.getByLabel(/to confirm/).fill(typed);
      await form.getByLabel('Why').fill('ticket 7');
      await form.getByRole('button', { name: 'Reset' }).click();
    };
    await reset('something else');
    await page.getByText('Not reset.').waitFor();
    const form = page.locator('form[action$="/reset"]');
    expect(await form.getByLabel('Why').inputValue()).toBe('ticket 7');
    expect(await form.getByLabel(/to confirm/).getAttribute('aria-invalid')).toBe('true');
    await reset(id);
    await page.getByText('Counters reset.').first().waitFor();
    const used = page.locator('[data-limit="* minute"] [data-slot=used]');
    await expect.poll(() => used.textContent()).toBe('0');
  });
});
