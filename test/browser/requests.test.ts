import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { uniqueName } from '../support/servers.ts';
import { launchBrowser } from './browser.ts';

/** A request for a higher limit, from the portal through the operator console to the gateway, in real processes. */
let run: PolicyRun;
let browser: Browser;

beforeAll(async () => {
  [run, browser] = await Promise.all([
    runPolicy('default', { services: ['gateway', 'aggregator', 'admin', 'console'] }),
    launchBrowser(),
  ]);
});
afterAll(async () => {
  await browser.close();
  await run.stop();
});

async function newPage(): Promise<Page> {
  return (await browser.newContext({ viewport: { width: 390, height: 800 } })).newPage();
}

async function openPortal(tenantId: string): Promise<Page> {
  const page = await newPage();
  const { body } = await run.admin('POST /admin/v1/portal-links', { tenant_id: tenantId });
  const { pathname, search } = new URL(String(body['url']));
  await page.goto(run.installation.urls.console + pathname + search);
  return page;
}

async function openOperator(): Promise<Page> {
  const page = await newPage();
  await page.goto(`${run.installation.urls.console}/operator`);
  await page.getByLabel('Your name').fill('Robin');
  await page.getByLabel('Admin token').fill(run.adminToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((now) => now.pathname !== '/operator/sign-in');
  return page;
}

test('B3, B12: a tenant requests more, an operator approves it, the gateway allows more, and it ends by itself', async () => {
  const tenant = uniqueName('grow');
  await run.admin(`PATCH /admin/v1/tenants/${tenant}`, { plan: 'free' });
  const token = await run.token({ tenant_id: tenant, sub: 'ada' });
  const limitNow = async (): Promise<string | null> =>
    (await run.call('GET /', { token })).headers.get('ratelimit-policy')?.match(/"minute";q=(\d+)/)?.[1] ??
    null;
  await expect.poll(limitNow).toBe('100');

  const portal = await openPortal(tenant);
  await portal.locator('[data-limit="* minute"]').getByRole('link', { name: 'Request more' }).click();
  expect(await portal.getByLabel('Limit').inputValue()).toBe('minute');
  await portal.getByLabel('Wanted value').fill('500');
  await portal.getByLabel('Why').fill('A launch at noon');
  await portal.getByRole('button', { name: 'Send the request' }).click();
  await portal.getByText('waits for an answer').waitFor();

  const operator = await openOperator();
  await operator.getByRole('link', { name: 'Requests', exact: true }).click();
  const request = operator.getByRole('article', { name: `Request of ${tenant}` });
  await request.getByText('A launch at noon').waitFor();
  await request.getByLabel('Grant').fill('400');
  await request.getByLabel('For').fill('30s');
  await request.getByLabel('Answer').fill('For the launch');
  await request.getByRole('button', { name: 'Approve' }).click();
  await operator.getByText('Request approved').waitFor();

  await expect.poll(limitNow, { interval: 100 }).toBe('400');
  await portal.reload();
  const own = portal.locator('#requests');
  await expect.poll(() => own.textContent()).toMatch(/approved[^]*Raised to 400[^]*For the launch/);
  await expect.poll(limitNow, { timeout: 60_000 }).toBe('100');
  await portal.reload();
  await expect.poll(() => own.textContent()).toContain('it has ended');
});
