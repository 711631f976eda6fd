// Goal: a tenant replaces an API key without an interruption, and receives the alert that it has set; in a real browser and with all
// processes.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApiKey } from '../../shared/domain/tenant.ts';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { eventually, uniqueName } from '../support/servers.ts';
import { launchBrowser } from './browser.ts';

let run: PolicyRun;
let browser: Browser;
beforeAll(async () => {
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator', 'admin', 'console', 'alerter'],
    env: { TOLLGATE_WEBHOOK_ALLOW_PRIVATE: 'true' },
  });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await run.stop();
});

async function openPage(): Promise<Page> {
  return (await browser.newContext()).newPage();
}

async function openByKey(key: string): Promise<Page> {
  const page = await openPage();
  await page.goto(run.installation.urls.console);
  await page.getByLabel('API key or access token').fill(key);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/\/usage$/);
  return page;
}

async function openByLink(tenant: string): Promise<Page> {
  const { body } = await run.admin('POST /admin/v1/portal-links', { tenant_id: tenant });
  const page = await openPage();
  await page.goto(`${run.installation.urls.console}/sign-in${new URL(String(body['url'])).search}`);
  return page;
}

async function statusWith(key: string): Promise<number> {
  return (await run.call('GET /health', { headers: { 'x-api-key': key } })).status;
}

test('a key is created, used, and rolled: both work, then the old one is refused and its session has ended', async () => {
  const tenant = uniqueName('roller');
  const page = await openByLink(tenant);
  await page.getByRole('link', { name: 'API keys' }).click();
  await page.getByLabel('What is it for?').fill('Build server');
  await page.getByLabel('Publish usage events').uncheck();
  await page.getByRole('button', { name: 'Create the key' }).click();
  const old = (await page.locator('code.secret').textContent()) ?? '';
  await eventually(async () => (await statusWith(old)) === 200);
  const session = await openByKey(old);

  await eventually(
    async () => {
      await page.goto(`${run.installation.urls.console}/keys`);
      return /requests, usage, manage.*20\d\d.*20\d\d/s.test(await page.getByRole('row').last().innerText());
    },
    { intervalMs: 500 },
  );
  await page.getByRole('link', { name: 'Build server' }).click();
  await page.getByLabel('This key ends').selectOption('in 1 hour');
  await page.getByRole('button', { name: 'Roll the key' }).click();
  const next = (await page.locator('code.secret').textContent()) ?? '';
  expect(next).not.toBe(old);
  await eventually(async () => (await statusWith(next)) === 200);
  expect(await statusWith(old)).toBe(200);
  await session.reload();
  expect(new URL(session.url()).pathname).toBe('/usage');

  await endKeysAtNow(tenant);
  await eventually(async () => (await statusWith(old)) === 401);
  expect(await statusWith(next)).toBe(200);
  await eventually(async () => {
    await session.goto(`${run.installation.urls.console}/usage`);
    return session.url().endsWith('/?reason=signed-out');
  });
});

/** Moves the ends of the tenant's ending keys to the present, as if the hour were over. */
async function endKeysAtNow(tenant: string): Promise<void> {
  const { body } = await run.admin(`GET /admin/v1/tenants/${tenant}`);
  const { api_keys: keys = [] } = body['record'] as { api_keys?: readonly ApiKey[] };
  const ended = keys.map((key) =>
    key.expires_at === undefined ? key : { ...key, expires_at: new Date().toISOString() },
  );
  expect((await run.admin(`PUT /admin/v1/tenants/${tenant}`, { api_keys: ended })).status).toBe(200);
}

test('a key is revoked after a second confirmation', async () => {
  const tenant = uniqueName('revoker');
  const { body } = await run.admin(`POST /admin/v1/tenants/${tenant}/api-keys`, { name: 'Leaked' });
  const key = String(body['api_key']);
  await eventually(async () => (await statusWith(key)) === 200);
  const page = await openByLink(tenant);
  await page.goto(`${run.installation.urls.console}/keys/${String(body['sha256']).slice(0, 12)}`);
  await page.getByRole('button', { name: 'Revoke the key' }).click();
  expect(await statusWith(key), 'the browser requires the confirmation').toBe(200);
  await page.getByLabel('No application needs this key any longer').check();
  await page.getByRole('button', { name: 'Revoke the key' }).click();
  await page.getByText('Revoked. Gateways refuse the key').waitFor();
  await eventually(async () => (await statusWith(key)) === 401);
});

/** A receiver of webhooks on this machine. */
async function startReceiver() {
  const kinds: string[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const { type, data } = JSON.parse(Buffer.concat(parts).toString()) as {
        type: string;
        data: { threshold: number };
      };
      kinds.push(`${type} ${data.threshold}`);
      response.end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return { kinds, url, close: () => server.close() };
}

test('C8: an alert at 70 % of a quota is set, its target is tested, and the real alert arrives', async () => {
  const receiver = await startReceiver();
  const tenant = uniqueName('alerted');
  await run.admin(`PUT /admin/v1/tenants/${tenant}`, { plan: 'free', overrides: { day: 10 } });
  const { body } = await run.admin(`POST /admin/v1/tenants/${tenant}/api-keys`);
  const page = await openByLink(tenant);
  await page.getByRole('link', { name: 'Notifications' }).click();
  await page.getByLabel('Shares of day in percent').fill('70');
  await page.getByRole('button', { name: 'Save the limits' }).click();
  await page.getByText('Saved. It takes effect within seconds.').waitFor();
  await page.getByLabel('Address', { exact: true }).fill(receiver.url);
  await page.getByRole('button', { name: 'Add the target' }).click();
  await page.getByRole('button', { name: /^Send test to/ }).click();
  await page.getByText('A test message is on its way; its').waitFor();
  await eventually(() => receiver.kinds.includes('tollgate.alert.test 0'));
  const log = page.getByRole('table', { name: 'The delivery log' });
  await log.getByText('delivered').first().waitFor();

  for (let call = 0; call < 6; call += 1) expect(await statusWith(String(body['api_key']))).toBe(200);
  expect(receiver.kinds).toHaveLength(1);
  expect(await statusWith(String(body['api_key']))).toBe(200);
  await eventually(() => receiver.kinds.includes('tollgate.alert.threshold 0.7'));
  await log.getByText('day at 70').first().waitFor();
  receiver.close();
});

test('C8: an operator sends a test message to one target of a tenant and sees its delivery, without the secrets', async () => {
  const receiver = await startReceiver();
  const tenant = uniqueName('tested');
  const webhooks = [{ url: `${receiver.url}?key=of-the-receiver`, secrets: ['whsec_of-the-tenant'] }];
  const notifications = { webhooks, emails: ['dev@example.com'] };
  await run.admin(`PUT /admin/v1/tenants/${tenant}`, { plan: 'free', notifications });
  const page = await openPage();
  const { console: url } = run.installation.urls;
  await page.goto(`${url}/operator`);
  await page.getByLabel('Your name').fill('Robin');
  await page.getByLabel('Admin token').fill(run.adminToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((now) => now.pathname !== '/operator/sign-in');
  await page.goto(`${url}/operator/tenants/${tenant}`);
  for (const secret of ['of-the-receiver', 'of-the-tenant'])
    expect(await page.content()).not.toContain(secret);
  await page.getByRole('button', { name: `Send test to ${receiver.url}?…` }).click();
  await page.getByText('A test message is on its way; its delivery shows under').waitFor();
  await eventually(() => receiver.kinds.includes('tollgate.alert.test 0'));
  const log = page.getByRole('table', { name: 'The delivery log' });
  await log.getByText('delivered').first().waitFor();
  expect(await log.innerText()).not.toContain('dev@example.com');
  receiver.close();
});
