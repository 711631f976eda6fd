import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { oidcVariables, readOidcSettings } from '../../../services/console/operator/oidc/settings.ts';
import { createSingleSignOn, operatorOf } from '../../../services/console/operator/oidc/single-sign-on.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { readConfig } from '../../../shared/runtime/config.ts';
import { Type } from 'typebox';

const complete = {
  TOLLGATE_OIDC_ISSUER: 'https://login.example.com',
  TOLLGATE_OIDC_CLIENT_ID: 'tollgate',
  TOLLGATE_OIDC_ROLE_MAP: 'readers=viewer, ou=first line=support,platform=admin',
};
const read = (env: Record<string, string>) => readOidcSettings(readConfig(Type.Object(oidcVariables), env));

describe('the settings of single sign-on', () => {
  test('are off without an issuer, and have the roles of groups', async () => {
    expect(await read({})).toBeNull();
    const settings = await read(complete);
    expect([...settings!.roleOfGroup]).toEqual([
      ['readers', 'viewer'],
      ['ou=first line', 'support'],
      ['platform', 'admin'],
    ]);
  });

  test('have the secret of a file, without its line break', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'oidc-')), 'secret');
    writeFileSync(path, 'hidden\n');
    const settings = await read({ ...complete, TOLLGATE_OIDC_CLIENT_SECRET_FILE: path });
    expect(settings?.clientSecret).toBe('hidden');
  });

  test.each([
    ['an issuer without TLS', { ...complete, TOLLGATE_OIDC_ISSUER: 'http://login.example.com' }],
    ['no client', { ...complete, TOLLGATE_OIDC_CLIENT_ID: '' }],
    ['no roles', { ...complete, TOLLGATE_OIDC_ROLE_MAP: '' }],
    ['an unknown role', { ...complete, TOLLGATE_OIDC_ROLE_MAP: 'platform=owner' }],
    ['scopes without openid', { ...complete, TOLLGATE_OIDC_SCOPES: 'email' }],
    ['a secret file that does not exist', { ...complete, TOLLGATE_OIDC_CLIENT_SECRET_FILE: '/nowhere' }],
    ['no way to sign in at all', { TOLLGATE_TOKEN_SIGN_IN: 'off' }],
  ])('stop the console at its start with %s', async (_what, env) => {
    await expect((async () => read(env))()).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('the operator of an identity', () => {
  const of = async (claims: Record<string, unknown>, env: Record<string, string> = {}) =>
    operatorOf((await read({ ...complete, ...env }))!, { sub: 'u1', ...claims });

  test('has the highest role of its groups, from a list, a text or a nested claim', async () => {
    const nested = { TOLLGATE_OIDC_ROLES_CLAIM: 'realm_access.roles' };
    expect(await of({ groups: ['readers', 'platform'] })).toMatchObject({ operator: { role: 'admin' } });
    expect(await of({ groups: 'readers' })).toMatchObject({ operator: { name: 'u1', role: 'viewer' } });
    expect(await of({ realm_access: { roles: ['readers'] } }, nested)).toMatchObject({ ok: true });
  });

  test('is named by a verified address, else by the subject, never by a claim that the person can edit', async () => {
    const ada = { groups: 'readers', email: 'ada@example.com', preferred_username: 'robin' };
    expect(await of({ ...ada, email_verified: true })).toMatchObject({ operator: { name: ada.email } });
    expect(await of({ ...ada, email_verified: false })).toMatchObject({ operator: { name: 'u1' } });
    expect(await of(ada)).toMatchObject({ operator: { name: 'u1' } });
  });

  test.each([
    {},
    { groups: [] },
    { groups: ['admin'] },
    { groups: [{ platform: true }] },
    { groups: 'constructor' },
  ])('is refused without a listed group: %j', async (claims) => {
    expect(await of(claims)).toMatchObject({ ok: false, status: 403 });
  });

  test('is refused without a verified address of an allowed domain', async () => {
    const domains = { TOLLGATE_OIDC_ALLOWED_DOMAINS: 'Example.com' };
    const ada = { groups: ['readers'], email: 'ada@example.COM', email_verified: true };
    expect(await of(ada, domains)).toMatchObject({ operator: { name: 'ada@example.COM' } });
    for (const wrong of [
      { email_verified: false },
      { email_verified: 'true' },
      { email: 'ada@example.com.evil.example' },
      { email: 'example.com' },
      { email: undefined },
    ])
      expect(await of({ ...ada, ...wrong }, domains)).toMatchObject({ ok: false, status: 403 });
  });
});

describe('a provider that does not answer', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  test('is called once for concurrent sign-ins, and again only after a pause', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const fetch = vi.fn(() => Promise.reject(new TypeError('fetch failed')));
    vi.stubGlobal('fetch', fetch);
    const settings = await read(complete);
    const logger = createLogger('test', 'silent');
    const singleSignOn = createSingleSignOn({
      settings: settings!,
      publicUrl: () => 'http://console.test',
      logger,
    });
    const begin = () => Promise.all([singleSignOn.begin(), singleSignOn.begin(), singleSignOn.begin()]);
    expect(await begin()).toEqual([null, null, null]);
    await begin();
    expect(fetch).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10_000);
    await begin();
    expect(fetch).toHaveBeenCalledTimes(2);
  });
});
