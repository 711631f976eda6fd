import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { adminToken, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { get, getAsScript, post } from './browser.ts';
import type { Page } from './browser.ts';

/** Two console processes of one installation. */
let fixture: Fixture;
let other: Fixture;
/** The clock of both processes. A test sets it ahead instead of waiting for the end of a session. */
const clock = { aheadMs: 0, now: (): number => Date.now() + clock.aheadMs };
const minuteMs = 60_000;
beforeAll(async () => {
  fixture = await createFixture({ clock });
  other = await createFixture({ clock, namespace: fixture.namespace });
});
beforeEach(() => void (clock.aheadMs = 0));
afterAll(async () => {
  await other.dispose();
  await fixture.dispose();
});

const cookieOf = ({ cookie }: Page): string => cookie.split(';')[0] ?? '';
const isIn = async (on: Fixture, cookie: string, path = '/usage'): Promise<boolean> =>
  (await get(on, path, cookie)).status === 200;
/** The other process reads the end of the session from Kafka a moment later. */
const outEverywhere = async (cookie: string, path = '/usage'): Promise<void> => {
  expect(await isIn(fixture, cookie, path)).toBe(false);
  await eventually(async () => !(await isIn(other, cookie, path)));
};

async function keyOf(tenantId: string): Promise<{ key: string; hash: string }> {
  const { body } = await fixture.admin(`POST /admin/v1/tenants/${tenantId}/api-keys`);
  return { key: String(body['api_key']), hash: String(body['sha256']) };
}

async function signInBy(credential: string): Promise<string> {
  const page = await post(fixture, '/sign-in', { credential });
  expect(page.status).toBe(303);
  return cookieOf(page);
}

async function openLink(token: string): Promise<string> {
  const page = await get(fixture, `/sign-in?token=${token}`);
  expect(page.status).toBe(303);
  return cookieOf(page);
}

async function makeLink(tenantId: string, body: object = {}): Promise<{ id: string; token: string }> {
  const made = await fixture.admin('POST /admin/v1/portal-links', { tenant_id: tenantId, ...body });
  expect(made.status).toBe(201);
  return { id: String(made.body['link_id']), token: String(made.body['url']).split('token=')[1] ?? '' };
}

describe('a session of the portal ends at once, in every process', () => {
  test('with its sign-out: a copied cookie opens nothing', async () => {
    const cookie = await signInBy((await keyOf(uniqueName('out'))).key);
    const second = await openLink((await makeLink(uniqueName('stays'))).token);
    expect(await isIn(fixture, cookie)).toBe(true);
    await eventually(() => isIn(other, cookie));
    expect((await post(fixture, '/sign-out', {}, cookie)).location).toBe('/?reason=bye');
    await outEverywhere(cookie);
    for (const path of ['/usage/live', '/usage?part=today'])
      expect((await getAsScript(fixture, path, cookie)).status).toBe(401);
    expect((await post(fixture, '/notifications', { threshold: '0.5' }, cookie)).location).toBe(
      '/?reason=signed-out',
    );
    expect(await isIn(fixture, second)).toBe(true);
  });

  test('with the deletion of the key that opened it, not of another key', async () => {
    const id = uniqueName('keyed');
    const [gone, kept] = [await keyOf(id), await keyOf(id)];
    const [first, second] = [await signInBy(gone.key), await signInBy(kept.key)];
    expect(
      (await fixture.admin(`DELETE /admin/v1/tenants/${id}/api-keys/${gone.hash.slice(0, 12)}`)).status,
    ).toBe(204);
    await outEverywhere(first);
    expect(await isIn(fixture, second)).toBe(true);
    await fixture.admin(`DELETE /admin/v1/tenants/${id}`);
    await outEverywhere(second);
  });

  test('when its key expires', async () => {
    const id = uniqueName('short');
    const { key, hash } = await keyOf(id);
    const cookie = await signInBy(key);
    const record = fixture.directory.get(id);
    if (record === undefined) throw new Error('the tenant has no record');
    const expiresAtMs = clock.now() + 10 * minuteMs;
    const keys = [{ sha256: hash, expires_at: new Date(expiresAtMs).toISOString() }];
    await fixture.directory.put({ ...record, api_keys_sha256: [], api_keys: keys });
    expect(await isIn(fixture, cookie)).toBe(true);
    clock.aheadMs = 10 * minuteMs;
    await outEverywhere(cookie);
  });

  test('with its JWT', async () => {
    // The policy allows `exp` a leeway of 30 s, for the session and for the token.
    const token = await fixture.jwt({ tenant_id: uniqueName('jwt') }, '5m');
    const cookie = await signInBy(token);
    expect(await isIn(fixture, cookie)).toBe(true);
    clock.aheadMs = 5.5 * minuteMs;
    await outEverywhere(cookie);
  });

  test('with its link: the session of a link that ends in two minutes ends in two minutes', async () => {
    const { token } = await makeLink(uniqueName('short'), { ttl: '10m', session_ttl: '8h' });
    clock.aheadMs = 8 * minuteMs;
    const page = await get(fixture, `/sign-in?token=${token}`);
    const seconds = Number(/Max-Age=(\d+)/.exec(page.cookie)?.[1]);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(120);
    expect(await isIn(fixture, cookieOf(page))).toBe(true);
    clock.aheadMs = 10 * minuteMs;
    await outEverywhere(cookieOf(page));
    expect((await get(fixture, `/sign-in?token=${token}`)).text).toContain('This link has expired');
  });

  test('after the session duration of the link, and the link can be opened again', async () => {
    const { token } = await makeLink(uniqueName('again'), { ttl: '1h', session_ttl: '10m' });
    const cookie = await openLink(token);
    clock.aheadMs = 10 * minuteMs;
    await outEverywhere(cookie);
    expect(await isIn(fixture, await openLink(token))).toBe(true);
    expect(await isIn(fixture, await openLink((await makeLink(uniqueName('default'))).token))).toBe(true);
  });

  test('with the revocation of its link; sessions of other sources stay', async () => {
    const id = uniqueName('revoked');
    const [link, second] = [await makeLink(id), await makeLink(id)];
    const [cookie, kept] = [await openLink(link.token), await openLink(second.token)];
    expect((await fixture.admin(`DELETE /admin/v1/tenants/${id}/portal-links/${link.id}`)).status).toBe(204);
    await outEverywhere(cookie);
    const page = await get(fixture, `/sign-in?token=${link.token}`);
    expect(page).toMatchObject({ status: 401, cookie: '' });
    expect(page.text).toContain('This link was ended');
    await eventually(async () => (await get(other, `/sign-in?token=${link.token}`)).status === 401);
    expect(await isIn(fixture, kept)).toBe(true);
  });

  test('when an operator ends all sessions and links of its tenant; other tenants stay signed in, and a new sign-in works', async () => {
    const id = uniqueName('all');
    const { key } = await keyOf(id);
    const [byKey, link] = [await signInBy(key), await makeLink(id)];
    const byLink = await openLink(link.token);
    const byJwt = await signInBy(await fixture.jwt({ tenant_id: id }));
    const other = await openLink((await makeLink(uniqueName('other'))).token);
    expect((await fixture.admin(`DELETE /admin/v1/tenants/${id}/sessions`)).status).toBe(204);
    for (const cookie of [byKey, byLink, byJwt]) await outEverywhere(cookie);
    expect((await get(fixture, `/sign-in?token=${link.token}`)).status).toBe(401);
    expect(await isIn(fixture, other)).toBe(true);
    await eventually(async () => isIn(fixture, await signInBy(key)));
  });

  test('and stays ended in a process that starts later', async () => {
    const cookie = await openLink((await makeLink(uniqueName('later'))).token);
    await post(fixture, '/sign-out', {}, cookie);
    const later = await createFixture({ namespace: fixture.namespace });
    expect(await isIn(later, cookie)).toBe(false);
    await later.dispose();
  });
});

describe('an operator’s session', () => {
  const signIn = async (): Promise<string> =>
    cookieOf(await post(fixture, '/operator/sign-in', { token: adminToken, name: 'robin' }));

  test('ends with its sign-out in every process; another session of the same name stays', async () => {
    const [first, second] = [await signIn(), await signIn()];
    for (const cookie of [first, second]) expect(await isIn(other, cookie, '/operator/audit')).toBe(true);
    await post(fixture, '/operator/sign-out', {}, first);
    await outEverywhere(first, '/operator/audit');
    expect(await isIn(fixture, second, '/operator/audit')).toBe(true);
  });

  test('can end a tenant’s sessions from its page', async () => {
    const id = uniqueName('button');
    const cookie = await openLink((await makeLink(id)).token);
    const operator = await signIn();
    expect((await get(fixture, `/operator/tenants/${id}`, operator)).text).toContain(
      `/operator/tenants/${id}/sessions/end`,
    );
    const page = await post(fixture, `/operator/tenants/${id}/sessions/end`, {}, operator);
    expect(page.location).toContain('done=sessions-ended');
    await outEverywhere(cookie);
  });
});

test('after a thousand sign-outs of one tenant all of its sessions end, and none of another tenant', async () => {
  const id = uniqueName('flood');
  const bystander = await openLink((await makeLink(uniqueName('bystander'))).token);
  const kept = await openLink((await makeLink(id)).token);
  const cookies = await Promise.all(
    Array.from(
      { length: 1_001 },
      async () => (await fixture.tokens.signTenant(id, { via: 'jwt', userId: null }, 600_000)).token,
    ),
  );
  for (const token of cookies.slice(0, 1_000))
    await post(fixture, '/sign-out', {}, `tollgate_portal=${token}`);
  expect(await isIn(fixture, kept)).toBe(true);
  await post(fixture, '/sign-out', {}, `tollgate_portal=${cookies[1_000] ?? ''}`);
  await outEverywhere(kept);
  expect(await isIn(fixture, bystander)).toBe(true);
});

test('a link lasts at most 30 days, a session of it at most eight hours', async () => {
  for (const body of [{ ttl: '31d' }, { session_ttl: '9h' }, { session_ttl: '0s' }])
    expect([400, 422]).toContain(
      (await fixture.admin('POST /admin/v1/portal-links', { tenant_id: 'acme', ...body })).status,
    );
  const made = await fixture.admin('POST /admin/v1/portal-links', { tenant_id: 'acme', session_ttl: '8h' });
  expect(made.body).toMatchObject({ session_ttl_seconds: 28_800 });
});
