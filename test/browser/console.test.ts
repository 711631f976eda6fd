import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../support/servers.ts';
import { storeUsage } from '../support/stored-usage.ts';
import { createBrowserFixture } from './browser.ts';
import type { BrowserFixture } from './browser.ts';

let fixture: BrowserFixture;
beforeAll(async () => {
  fixture = await createBrowserFixture();
});
afterAll(() => fixture.dispose());

/** Runs in the page. Returns the colours in the canvas of a graph as `r,g,b`. */
const drawnColours = `(() => {
  const canvas = document.querySelector('[data-chart] canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add(data.slice(at, at + 3).join());
  return [...seen];
})()`;

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
    const { page, complaints } = await fixture.openPortal(id, { colorScheme: 'light' });
    expect(new URL(page.url()).pathname).toBe('/usage');
    const used = page.locator('[data-limit="* minute"] [data-slot=used]');
    expect(await used.textContent()).toBe('30');
    await fixture.spend(id, 25);
    await expect.poll(() => used.textContent()).toBe('55');
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
    const { page } = await fixture.openPortal(id);
    const reset = page.locator('[data-limit="* minute"] [data-slot=reset]');
    const seconds = async (): Promise<number> => {
      const [, minutes = 0, rest = 0] =
        /(?:(\d+) min)?(?: ?(\d+) s)?$/.exec((await reset.textContent()) ?? '') ?? [];
      return Number(minutes) * 60 + Number(rest);
    };
    const first = await seconds();
    expect(first).toBeGreaterThan(30);
    await expect.poll(seconds).toBeLessThan(first);
  });

  test('an expired link is refused with its reason', async () => {
    const { page } = await fixture.open();
    const answer = await page.goto(`${fixture.url}/sign-in?token=${await fixture.link('acme', -5000)}`);
    expect(answer?.status()).toBe(401);
    expect(await page.getByRole('alert').textContent()).toContain('expired');
    await page.goto(`${fixture.url}/usage`);
    await page.getByLabel('API key or access token').waitFor();
  });

  test('B10: an API key signs in by the keyboard only', async () => {
    const { body } = await fixture.admin(`POST /admin/v1/tenants/${uniqueName('keyboard')}/api-keys`);
    const { page } = await fixture.open();
    await page.goto(fixture.url);
    await page.getByLabel('API key or access token').focus();
    await page.keyboard.type(String(body['api_key']));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Usage now' }).waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
  });
});

describe('the operator console in a browser', () => {
  test('B12: an operator raises a limit for a week, and operator and tenant see it', async () => {
    const id = uniqueName('raised');
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', display_name: `Raised ${id}` });
    const { page, complaints } = await fixture.openOperator();
    await page.goto(`${fixture.url}/operator/tenants`);
    await page.getByLabel('Id or name').fill(id);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: `Raised ${id}` }).click();
    await page.getByText('Raise a limit for a time').click();
    const form = page.locator('#boosts form').last();
    await form.getByLabel('Limit').selectOption('minute');
    await form.getByLabel('Value').fill('5');
    await form.getByLabel('Reason (the tenant reads this)').fill('launch week');
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

    const tenant = await fixture.openPortal(id);
    expect(await tenant.page.locator('[data-limit="* minute"]').textContent()).toMatch(
      /of 500 used.*Raised for a time/s,
    );
    expect(complaints).toEqual([]);
  });

  test('C4: a reset needs the tenant’s id typed, and then empties the counters', async () => {
    const id = uniqueName('retyped');
    await fixture.spend(id, 70);
    const { page } = await fixture.openOperator();
    const reset = async (typed: string): Promise<void> => {
      await page.goto(`${fixture.url}/operator/tenants/${id}`);
      const form = page.locator('form[action$="/reset"]');
      await form.getByLabel(/to confirm/).fill(typed);
      await form.getByLabel('Reason (operators only)').fill('ticket 7');
      await form.getByRole('button', { name: 'Reset' }).click();
    };
    await reset('something else');
    await page.getByText('Not reset.').waitFor();
    const form = page.locator('form[action$="/reset"]');
    expect(await form.getByLabel('Reason (operators only)').inputValue()).toBe('ticket 7');
    expect(await form.getByLabel(/to confirm/).getAttribute('aria-invalid')).toBe('true');
    await reset(id);
    await page.getByText('Counters reset.').first().waitFor();
    const used = page.locator('[data-limit="* minute"] [data-slot=used]');
    await expect.poll(() => used.textContent()).toBe('0');
  });
});
