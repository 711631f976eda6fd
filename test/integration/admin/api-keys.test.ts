// Goal: an API key is valid until exactly its expiry, in every part of the system that checks keys.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { uniqueName } from '../../support/servers.ts';
import { createFixture, operatorTokens } from '../console/fixture.ts';
import type { Answer } from '../console/call-admin.ts';
import type { Fixture } from '../console/fixture.ts';
import { get, post, visit } from '../console/browser.ts';
import { hashApiKey } from '../../../shared/identity/api-keys.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
const past = '2026-01-01T00:00:00.000Z';

function create(id: string, body?: object): Promise<Answer> {
  return fixture.admin(`POST /admin/v1/tenants/${id}/api-keys`, body);
}

async function listed(id: string): Promise<readonly Record<string, unknown>[]> {
  const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/api-keys`);
  return body['api_keys'] as Record<string, unknown>[];
}

describe('a key with a name and an end', () => {
  test('has both in the answer to its creation, in the list and in the history', async () => {
    const id = uniqueName('key');
    const expires = inSeconds(3600);
    const made = await create(id, { name: 'CI', expires_at: expires });
    expect(made).toMatchObject({ status: 201, body: { name: 'CI', expires_at: expires } });
    expect(await listed(id)).toEqual([
      expect.objectContaining({
        sha256: made.body['sha256'],
        name: 'CI',
        expires_at: expires,
        expired: false,
      }),
    ]);
    expect(fixture.directory.get(id)?.history?.[0]?.detail).toMatch(/“CI” created, valid until/);
    expect(fixture.directory.byApiKeyHash(String(made.body['sha256']))?.expiresAtMs).toBe(
      Date.parse(expires),
    );
  });

  test('the end may have any zone offset; a past or invalid time is refused', async () => {
    const id = uniqueName('key');
    expect((await create(id, { expires_at: '2099-01-01T00:00:00+02:00' })).body['expires_at']).toBe(
      '2098-12-31T22:00:00.000Z',
    );
    for (const wrong of [past, '2099-02-30T00:00:00Z', 'tomorrow', '', 5])
      expect([400, 422]).toContain((await create(id, { expires_at: wrong })).status);
    for (const wrong of [{ name: '' }, { ttl: '1d' }, { name: 'x'.repeat(201) }])
      expect([400, 422]).toContain((await create(id, wrong)).status);
    expect(await listed(id)).toHaveLength(1);
  });

  test('signs in to the portal while it is valid, and the session ends with it', async () => {
    const id = uniqueName('key');
    const made = await create(id, { expires_at: inSeconds(600) });
    const page = await post(fixture, '/sign-in', { credential: String(made.body['api_key']) });
    expect(page.status).toBe(303);
    expect(Number(/Max-Age=(\d+)/.exec(page.cookie)?.[1])).toBeLessThanOrEqual(600);
    expect((await get(fixture, '/usage', page.cookie)).text).toContain(id);
    await endAllKeys(id);
    const after = await post(fixture, '/sign-in', { credential: String(made.body['api_key']) });
    expect(after.status).toBe(401);
    expect(after.text).toContain('The API key expired at');
  });
});

describe('a key with a scope', () => {
  const scope = { permissions: ['requests', 'usage'], routes: ['GET /v1/**'] };

  test('has its scope in the answer, in the list and in the history; a wrong scope is refused', async () => {
    const id = uniqueName('key');
    expect(await create(id, { name: 'CI', scope })).toMatchObject({ status: 201, body: { scope } });
    expect(await listed(id)).toMatchObject([{ name: 'CI', scope, last_used_at: null }]);
    expect(fixture.directory.get(id)?.history?.[0]?.detail).toContain('scope requests (GET /v1/**), usage');
    for (const wrong of [
      {},
      { permissions: ['all'] },
      { permissions: ['requests'], routes: ['/v1'] },
      'usage',
    ])
      expect((await create(id, { scope: wrong })).status).toBe(422);
  });

  test('is rolled with an overlap: both keys are valid until the old one ends, and the history says so', async () => {
    const id = uniqueName('key');
    const old = await create(id, { name: 'CI', scope });
    const path = `/admin/v1/tenants/${id}/api-keys/${String(old.body['sha256']).slice(0, 12)}`;
    const rolled = await fixture.admin(`POST ${path}/roll`, { overlap: '1h' });
    expect(rolled).toMatchObject({ status: 201, body: { name: 'CI', scope, replaced: { name: 'CI' } } });
    const { expires_at: end } = rolled.body['replaced'] as { expires_at: string };
    expect(Math.abs(Date.parse(end) - Date.now() - 3_600_000)).toBeLessThan(60_000);
    expect(await listed(id)).toMatchObject([
      { expires_at: end, expired: false },
      { scope, expired: false },
    ]);
    expect(fixture.directory.get(id)?.history?.[0]).toMatchObject({ action: 'api-key-roll' });
    for (const body of [{}, { overlap: '31d' }, { overlap: 'soon' }])
      expect([400, 422]).toContain((await fixture.admin(`POST ${path}/roll`, body)).status);
    expect((await fixture.admin(`POST ${path}/roll`, { overlap: '0s' })).status).toBe(409);
    const next = path.replace(/[^/]*$/, String((await listed(id))[1]?.['sha256']));
    expect((await fixture.admin(`POST ${next}/roll`, { overlap: '0s' })).status).toBe(201);
    expect(await listed(id)).toMatchObject([{}, { expired: true }, {}]);
  });

  test('shows the time of its latest recorded request', async () => {
    const id = uniqueName('key');
    const { body } = await create(id, { name: 'CI' });
    const api_key = String(body['sha256']).slice(0, 12);
    const row = { tenant_id: id, id_a: 1, type: 'tollgate.request.v1', api_key };
    const times = ['2026-11-20T10:00:00.000Z', '2026-11-21T10:00:00.000Z', '2026-11-19T10:00:00.000Z'];
    for (const [index, time] of times.entries())
      await fixture.clickhouse.insert('stored_events', [{ ...row, time, id_b: index }]);
    expect(await listed(id)).toMatchObject([{ last_used_at: times[1] }]);
  });
});

describe('the portal', () => {
  /** Signs in with a new key of the tenant, and returns the cookie. */
  async function signedIn(id: string, scope?: object): Promise<string> {
    const { body } = await create(id, { name: 'mine', ...(scope === undefined ? {} : { scope }) });
    return (
      (await post(fixture, '/sign-in', { credential: String(body['api_key']) })).cookie.split(';')[0] ?? ''
    );
  }
  const all: [string, string][] = ['requests', 'usage', 'events', 'manage'].map((name) => [
    'permission',
    name,
  ]);

  test('creates a key that is shown once, and writes who created it to the history', async () => {
    const id = uniqueName('key');
    const cookie = await visit(fixture, id);
    const made = await post(fixture, '/keys', [['name', 'Build <1>'], ...all], cookie);
    const [key = ''] = /tgk_[\w-]+/.exec(made.text) ?? [];
    expect(made.status).toBe(201);
    expect(fixture.directory.byApiKeyHash(hashApiKey(key))).toMatchObject({ key: { name: 'Build <1>' } });
    expect(fixture.directory.get(id)?.history?.[0]).toMatchObject({
      action: 'api-key',
      actor: 'the tenant itself, by a portal link',
    });
    const page = await get(fixture, '/keys', cookie);
    expect(page.text).toContain('Build &lt;1&gt;');
    expect(page.text).toContain('never');
    expect(page.text).not.toContain(key);
  });

  test('does not let a session of a link change keys if an operator below admin issued the link', async () => {
    const headers = { authorization: `Bearer ${operatorTokens.support}` };
    const { body } = await fixture.admin('POST /admin/v1/portal-links', { tenant_id: 'linked' }, headers);
    const [, query = ''] = String(body['url']).split('/sign-in');
    const cookie = (await get(fixture, `/sign-in${query}`)).cookie.split(';')[0] ?? '';
    expect((await post(fixture, '/keys', [['name', 'CI'], ...all], cookie)).status).toBe(403);
  });

  test.each<[string, [string, string][], string]>([
    ['without a permission', [['name', 'CI']], 'one or more of the permissions'],
    ['with a route that is no pattern', [['name', 'CI'], ...all, ['routes', '/v1']], 'must be a method'],
    ['for a span that is none', [['name', 'CI'], ...all, ['for', 'x']], 'not an RFC 3339 time'],
  ])('refuses a key %s, and the form keeps what was entered', async (_what, form, reason) => {
    const page = await post(fixture, '/keys', form, await visit(fixture, uniqueName('key')));
    expect(page.status).toBe(422);
    expect(page.text).toContain(reason);
    expect(page.text).toContain('value="CI"');
  });

  test('a session of a key with a scope cannot create or roll a key that may do more', async () => {
    const id = uniqueName('key');
    const full = String((await create(id, { name: 'full' })).body['sha256']).slice(0, 12);
    const cookie = await signedIn(id, { permissions: ['usage', 'manage'] });
    const create2 = await post(fixture, '/keys', [['name', 'more'], ...all], cookie);
    expect([create2.status, create2.text.includes('does not have the permission requests')]).toEqual([
      422,
      true,
    ]);
    expect((await post(fixture, `/keys/${full}/roll`, { overlap: 'now' }, cookie)).status).toBe(422);
    expect(
      (
        await post(
          fixture,
          '/keys',
          [
            ['name', 'less'],
            ['permission', 'usage'],
          ],
          cookie,
        )
      ).status,
    ).toBe(201);
    expect(await listed(id)).toMatchObject([{ name: 'full' }, { name: 'mine' }, { name: 'less' }]);
  });

  test('a session of a key that may only read changes nothing, and a key for requests only opens no portal', async () => {
    const id = uniqueName('key');
    const cookie = await signedIn(id, { permissions: ['usage'] });
    expect((await get(fixture, '/keys', cookie)).text).not.toContain('Create a key');
    const before = JSON.stringify(fixture.directory.get(id));
    for (const path of ['/keys', '/keys/0123456789ab/revoke', '/notifications', '/notifications/test']) {
      const page = await post(fixture, path, { name: 'x', confirm: 'yes' }, cookie);
      expect([path, page.status, page.text.includes('may do: usage')]).toEqual([path, 403, true]);
    }
    expect(JSON.stringify(fixture.directory.get(id))).toBe(before);
    const { body } = await create(id, { scope: { permissions: ['requests'] } });
    const refused = await post(fixture, '/sign-in', { credential: String(body['api_key']) });
    expect([refused.status, refused.cookie]).toEqual([403, '']);
    expect(refused.text).toContain('does not include the portal');
  });

  test('a session of a token sees the keys and changes none: the token may be that of one user', async () => {
    const id = uniqueName('key');
    await create(id, { name: 'CI' });
    const credential = await fixture.jwt({ tenant_id: id, sub: 'user-1' });
    const cookie = (await post(fixture, '/sign-in', { credential })).cookie.split(';')[0] ?? '';
    expect((await get(fixture, '/keys', cookie)).text).toContain('CI');
    expect((await post(fixture, '/keys', [['name', 'mine'], ...all], cookie)).status).toBe(403);
  });

  test('rolls and revokes a key; a revocation needs its confirmation, and ends the session that the key opened', async () => {
    const id = uniqueName('key');
    const link = await visit(fixture, id);
    const cookie = await signedIn(id);
    const [key] = await listed(id);
    const path = `/keys/${String(key?.['sha256']).slice(0, 12)}`;
    const rolled = await post(fixture, `${path}/roll`, { overlap: '1h' }, link);
    expect([rolled.status, /tgk_/.test(rolled.text)]).toEqual([201, true]);
    expect((await get(fixture, '/keys', cookie)).status).toBe(200);
    expect((await post(fixture, `${path}/revoke`, {}, link)).status).toBe(422);
    expect((await get(fixture, path, link)).text).toContain('This cannot be undone');
    expect(await post(fixture, `${path}/revoke`, { confirm: 'yes' }, link)).toMatchObject({ status: 303 });
    expect((await get(fixture, '/keys', cookie)).location).toBe('/?reason=signed-out');
    expect((await get(fixture, path, link)).status).toBe(404);
    expect(
      fixture.directory
        .get(id)
        ?.history?.map(({ action }) => action)
        .slice(0, 2),
    ).toEqual(['api-key-delete', 'api-key-roll']);
  });
});

describe('records', () => {
  test('keys of both lists are accepted; for a key in both the end in api_keys counts', async () => {
    const id = uniqueName('key');
    const [old, both] = ['a'.repeat(64), 'b'.repeat(64)];
    const put = await fixture.admin(`PUT /admin/v1/tenants/${id}`, {
      api_keys_sha256: [old, both],
      api_keys: [{ sha256: both, name: 'ended', expires_at: past }],
    });
    expect(put.status).toBe(200);
    expect(fixture.directory.byApiKeyHash(old)).toMatchObject({ expiresAtMs: Infinity });
    expect(fixture.directory.byApiKeyHash(both)).toMatchObject({ expiresAtMs: Date.parse(past) });
    expect((await fixture.admin(`DELETE /admin/v1/tenants/${id}/api-keys/${both.slice(0, 12)}`)).status).toBe(
      204,
    );
    expect(fixture.directory.byApiKeyHash(both)).toBeUndefined();
    expect(fixture.directory.byApiKeyHash(old)).toBeDefined();
  });

  test('a PUT without keys keeps them, and the record of GET can be sent back by PUT', async () => {
    const id = uniqueName('key');
    await create(id, { name: 'kept', expires_at: inSeconds(60) });
    await create(id);
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'pro' });
    const before = await listed(id);
    expect(before).toHaveLength(2);
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}`);
    expect((await fixture.admin(`PUT /admin/v1/tenants/${id}`, body['record'] as TenantRecord)).status).toBe(
      200,
    );
    expect(await listed(id)).toEqual(before);
  });

  test('a tenant has at most 20 keys; a new key replaces an expired one, never a valid one', async () => {
    const id = uniqueName('key');
    for (let made = 0; made < 20; made += 1) expect((await create(id, { name: `${made}` })).status).toBe(201);
    expect((await create(id, { name: 'one more' })).status).toBe(409);
    await endAllKeys(id, 1);
    expect((await create(id, { name: 'one more' })).status).toBe(201);
    const names = (await listed(id)).map(({ name }) => name);
    expect(names).toHaveLength(20);
    expect(names).toContain('one more');
    expect(names).not.toContain('0');
    expect((await create(id, { name: 'and another' })).status).toBe(409);
  });
});

/** Writes the record with the first `count` of its keys expired. */
async function endAllKeys(id: string, count = Infinity): Promise<void> {
  const keys = (fixture.directory.get(id)?.api_keys ?? []).map((key, index) =>
    index < count ? { ...key, expires_at: past } : key,
  );
  expect((await fixture.admin(`PUT /admin/v1/tenants/${id}`, { api_keys: keys })).status).toBe(200);
}
