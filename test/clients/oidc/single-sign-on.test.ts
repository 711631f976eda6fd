import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readOidcSettings } from '../../../services/console/operator/oidc/settings.ts';
import { createSingleSignOn } from '../../../services/console/operator/oidc/single-sign-on.ts';
import type { SingleSignOn } from '../../../services/console/operator/oidc/single-sign-on.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createBrowserFixture } from '../../browser/browser.ts';
import type { BrowserFixture } from '../../browser/browser.ts';
import { startProvider } from './provider.ts';
import type { TestProvider } from './provider.ts';

// Goal: operators sign in to the console in Chromium by a certified OpenID provider.

let provider: TestProvider;
let fixture: BrowserFixture;
let singleSignOn: SingleSignOn;
/** The same provider, as another program that is registered there. */
let anotherProgram: SingleSignOn;
let url = 'http://127.0.0.1:1';

async function signOnAs(clientId: string): Promise<SingleSignOn> {
  const settings = await readOidcSettings({
    TOLLGATE_OIDC_ISSUER: provider.issuer,
    TOLLGATE_OIDC_CLIENT_ID: clientId,
    TOLLGATE_OIDC_CLIENT_SECRET: `secret of ${clientId}`,
    TOLLGATE_OIDC_CLIENT_SECRET_FILE: '',
    TOLLGATE_OIDC_SCOPES: 'openid email profile',
    TOLLGATE_OIDC_ROLES_CLAIM: 'groups',
    TOLLGATE_OIDC_ROLE_MAP: 'helpdesk=support,platform=admin',
    TOLLGATE_OIDC_ALLOWED_DOMAINS: 'example.com',
    TOLLGATE_TOKEN_SIGN_IN: 'on',
  });
  if (settings === null) throw new Error('no settings');
  const logger = createLogger('test', 'silent');
  return createSingleSignOn({ settings, publicUrl: () => url, logger });
}

beforeAll(async () => {
  let delegate: SingleSignOn | null = null;
  const late = (): SingleSignOn => delegate!;
  fixture = await createBrowserFixture({
    publicUrl: () => url,
    singleSignOn: {
      begin: () => late().begin(),
      finish: (query, pending) => late().finish(query, pending),
      endAddress: () => late().endAddress(),
    },
  });
  ({ url } = fixture);
  provider = await startProvider(() => [`${url}/operator/oidc/callback`]);
  singleSignOn = await signOnAs('console');
  anotherProgram = await signOnAs('another-program');
  delegate = singleSignOn;
  for (const [id, groups] of [
    ['ada', ['helpdesk', 'cooks']],
    ['mallory', ['cooks']],
    ['root', ['helpdesk', 'platform']],
  ] as const)
    provider.accounts.set(id, { email: `${id}@example.com`, email_verified: true, groups });
  provider.accounts.set('eve', { email: 'eve@other.example', email_verified: true, groups: ['platform'] });
  provider.accounts.set('oscar', { email: 'oscar@example.com', email_verified: false, groups: ['platform'] });
});
afterAll(async () => {
  await fixture.dispose();
  await provider.stop();
});

/** Fills in the forms of the provider. */
async function authenticate(page: Page, account: string): Promise<void> {
  await page.locator('input[name="login"]').fill(account);
  await page.locator('input[name="password"]').fill('any');
  await page.locator('button[type="submit"]').click();
  await page.locator('button[type="submit"]').click();
}

async function signIn(account: string): Promise<{ page: Page; complaints: readonly string[] }> {
  const { page, complaints } = await fixture.open();
  await page.goto(`${url}/operator`);
  await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
  await authenticate(page, account);
  return { page, complaints };
}

/** The query of a callback whose code was not used, and what its browser keeps. */
async function unusedCallback(program: SingleSignOn, account: string) {
  const started = await program.begin();
  const { page } = await fixture.open();
  await page.goto(started!.address);
  await authenticate(page, account);
  await page.waitForURL(/\/operator\/oidc\/callback/);
  return { query: new URL(page.url()).search.slice(1), pending: started!.pending, page };
}

describe('single sign-on', () => {
  test('opens the console with the role of the group, and the content security policy holds', async () => {
    const { page, complaints } = await signIn('ada');
    await page.waitForURL(`${url}/operator/start`);
    expect(await page.locator('.who-name').textContent()).toBe('ada@example.com (support)');
    expect((await page.goto(`${url}/operator/reset-all`))?.status()).toBe(403);
    const cookies = await page.context().cookies(url + '/operator');
    const session = cookies.find(({ name }) => name === 'tollgate_operator');
    expect(session).toMatchObject({ sameSite: 'Strict', httpOnly: true });
    expect(session!.expires - Date.now() / 1000).toBeLessThanOrEqual(8 * 3600);
    expect(cookies.map(({ name }) => name)).not.toContain('tollgate_oidc');
    // Complaints about files that the provider's pages load do not count.
    expect(complaints.filter((text) => /content security|refused/i.test(text))).toEqual([]);
  });

  test('gives the highest role of several groups, and a changed role at the next sign-in', async () => {
    const first = await signIn('root');
    await first.page.waitForURL(`${url}/operator/start`);
    expect(await first.page.locator('.who-name').textContent()).toBe('root@example.com (admin)');
    provider.accounts.set('root', { email: 'root@example.com', email_verified: true, groups: ['helpdesk'] });
    const second = await signIn('root');
    await second.page.waitForURL(`${url}/operator/start`);
    expect(await second.page.locator('.who-name').textContent()).toBe('root@example.com (support)');
  });

  test.each([
    ['a person without a listed group', 'mallory', 'none of your groups has a role here'],
    ['an address of another domain', 'eve', 'not of a domain that may sign in'],
    ['an address that is not verified', 'oscar', 'is not verified'],
  ])('refuses %s with a page that says why, and opens no session', async (_what, account, text) => {
    const { page } = await signIn(account);
    await page.getByRole('heading', { name: 'Not signed in' }).waitFor();
    expect(await page.getByRole('alert').textContent()).toContain(text);
    expect((await page.context().cookies()).map(({ name }) => name)).not.toContain('tollgate_operator');
    await page.goto(`${url}/operator/tenants`);
    expect(page.url()).toContain('/operator?reason=signed-out');
  });

  test('refuses a person who cancels at the provider', async () => {
    const { page } = await fixture.open();
    await page.goto(`${url}/operator`);
    await page.getByRole('link', { name: 'Sign in with your organisation' }).click();
    await page.getByRole('link', { name: /cancel/i }).click();
    await page.getByRole('heading', { name: 'Not signed in' }).waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('access_denied');
  });

  test('refuses a callback in a browser that did not start it, with another state or nonce, and a code used twice', async () => {
    const other = await unusedCallback(singleSignOn, 'ada');
    expect(await other.page.getByRole('alert').textContent()).toContain('not started in this browser');
    const { query, pending } = other;
    const finish = async (changed: Partial<typeof pending>) =>
      (await singleSignOn.finish(query, { ...pending, ...changed })).ok;
    expect(await finish({ state: 'another-state' })).toBe(false);
    expect(await finish({})).toBe(true);
    expect(await finish({})).toBe(false);
    const second = await unusedCallback(singleSignOn, 'ada');
    expect((await singleSignOn.finish(second.query, { ...second.pending, nonce: 'another' })).ok).toBe(false);
    const third = await unusedCallback(singleSignOn, 'ada');
    const codeVerifier = 'another-verifier-of-at-least-forty-three-characters';
    expect((await singleSignOn.finish(third.query, { ...third.pending, codeVerifier })).ok).toBe(false);
  });

  test('refuses a code that the provider issued to another program', async () => {
    const { query, pending } = await unusedCallback(anotherProgram, 'ada');
    expect(await singleSignOn.finish(query, pending)).toMatchObject({ ok: false, status: 401 });
  });

  test('ends the session here, and leads to the end of the session at the provider', async () => {
    const { page } = await signIn('ada');
    await page.waitForURL(`${url}/operator/start`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('may still be signed in at your identity provider').waitFor();
    await page.getByRole('link', { name: 'Sign out at the identity provider' }).click();
    await page.waitForURL(/localhost:\d+\/session\/end/);
    await page.goto(`${url}/operator/tenants`);
    expect(page.url()).toContain('/operator?reason=signed-out');
  });
});
