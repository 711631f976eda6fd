import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { uniqueName } from '../support/servers.ts';
import { launchBrowser } from './browser.ts';

/** Actions of an operator on a tenant, from the console to the gateway, in real processes. */
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

async function openPage(path: string): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 390, height: 800 } })).newPage();
  await page.goto(run.installation.urls.console + path);
  return page;
}

test('C3: an operator blocks a tenant with a note, the tenant reads the reason only, and the undo lets requests pass', async () => {
  const tenant = uniqueName('invoice');
  await run.admin(`PATCH /admin/v1/tenants/${tenant}`, { plan: 'pro' });
  const token = await run.token({ tenant_id: tenant, sub: 'ada' });
  const statusNow = async (): Promise<number> => (await run.call('GET /', { token })).status;
  await expect.poll(statusNow).toBe(200);

  const operator = await openPage('/operator');
  await operator.getByLabel('Your name').fill('Robin');
  await operator.getByLabel('Admin token').fill(run.adminToken);
  await operator.getByRole('button', { name: 'Sign in' }).click();
  await operator.waitForURL((now) => now.pathname !== '/operator/sign-in');
  await operator.goto(`${run.installation.urls.console}/operator/tenants/${tenant}`);
  const block = operator.locator('form[action$="/block"]');
  await block.getByLabel('Reason (the tenant reads this)').fill('Unpaid invoice');
  await block.getByLabel('Internal note (operators only)').fill('Zanzibar: see ticket 812');
  await block.getByRole('button', { name: 'Block every request' }).click();
  const done = operator.getByRole('region', { name: 'What was done' });
  await done.getByText('Unpaid invoice').waitFor();
  await operator.locator('#changes').getByText('Zanzibar').waitFor();

  await expect.poll(statusNow, { interval: 200 }).toBe(429);
  const refused = await run.call('GET /', { token });
  expect(refused.text).toContain('Unpaid invoice');
  expect(JSON.stringify([refused.text, ...refused.headers])).not.toContain('Zanzibar');
  const { body } = await run.admin('POST /admin/v1/portal-links', { tenant_id: tenant });
  const { pathname, search } = new URL(String(body['url']));
  const portal = await openPage(pathname + search);
  await portal.getByText('Unpaid invoice').waitFor();
  for (const path of ['/usage', '/limits', '/requests', '/refusals', '/notifications']) {
    await portal.goto(run.installation.urls.console + path);
    expect(await portal.content(), path).not.toContain('Zanzibar');
  }

  await done.getByRole('button', { name: /^Undo/ }).click();
  await operator.getByRole('region', { name: 'What was done' }).getByText('Undid what Robin did').waitFor();
  await expect.poll(statusNow).toBe(200);
  await portal.goto(`${run.installation.urls.console}/usage`);
  expect(await portal.content()).not.toContain('Unpaid invoice');
  expect(await operator.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390);
});
