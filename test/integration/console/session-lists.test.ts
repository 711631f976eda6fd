import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { createFixture, operatorTokens } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { get, post } from './browser.ts';
import type { Page } from './browser.ts';

/** Two console processes of one installation. */
let fixture: Fixture;
let other: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
  other = await createFixture({ namespace: fixture.namespace });
});
afterAll(async () => {
  await other.dispose();
  await fixture.dispose();
});

const cookieOf = ({ cookie }: Page): string => cookie.split(';')[0] ?? '';
const statusOf = async (on: Fixture, cookie: string, path = '/usage'): Promise<number> =>
  (await get(on, path, cookie)).status;
const pathsIn = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map(([, path = '']) => path);
const endPaths = (text: string): readonly string[] =>
  pathsIn(text, /action="(\/sessions\/[0-9a-f-]{36}\/end)"/g);
const revokePaths = (text: string): readonly string[] =>
  pathsIn(text, /action="(\/sessions\/links\/[0-9a-f-]{36}\/revoke)"/g);

async function keyOf(tenantId: string, body: object = {}): Promise<string> {
  const made = await fixture.admin(`POST /admin/v1/tenants/${tenantId}/api-keys`, body);
  return String(made.body['api_key']);
}

async function signInBy(credential: string): Promise<string> {
  return cookieOf(
    await post(fixture, '/sign-in', { credential }, '', { 'user-agent': 'x Firefox/1 (Linux)' }),
  );
}

async function linkOf(tenantId: string): Promise<string> {
  const made = await fixture.admin(
    'POST /admin/v1/portal-links',
    { tenant_id: tenantId },
    { 'x-actor': 'robin' },
  );
  return String(made.body['url']).split('token=')[1] ?? '';
}

async function openLink(token: string): Promise<string> {
  return cookieOf(await get(fixture, `/sign-in?token=${token}`));
}

describe('the portal lists who is signed in', () => {
  test('with the way, the browser and the time, in every process, and ends one of the sessions there', async () => {
    const id = uniqueName('listed');
    const key = await keyOf(id, { name: 'billing job' });
    const [own, second] = [await signInBy(key), await signInBy(key)];
    const byJwt = await signInBy(await fixture.jwt({ tenant_id: id, sub: 'ada' }));
    await signInBy(await fixture.jwt({ tenant_id: uniqueName('elsewhere'), sub: 'grace' }));
    const text = await eventually(async () => {
      const page = await get(other, '/sessions', own);
      return endPaths(page.text).length === 2 ? page.text : null;
    });
    expect(text).toMatch(/API key billing job <code>[0-9a-f]{12}<\/code>/);
    expect(text).toContain('Access token of user ada');
    expect(text).toContain('Firefox on Linux');
    expect(text).not.toContain('grace');
    expect(text.match(/this session/g)).toHaveLength(1);
    for (const path of endPaths(text))
      expect((await post(other, path, {}, own)).location).toBe('/sessions?done=ended');
    for (const cookie of [second, byJwt])
      await eventually(async () => (await statusOf(fixture, cookie)) === 303);
    expect(await statusOf(fixture, own)).toBe(200);
    expect(endPaths((await get(other, '/sessions', own)).text)).toEqual([]);
  });

  test('and the links that open it: use and end, without the name of the operator; a revoked one opens nothing', async () => {
    const id = uniqueName('links');
    const [used, unused] = [await linkOf(id), await linkOf(id)];
    const cookie = await openLink(used);
    const own = await signInBy(await keyOf(id));
    const { text } = await get(fixture, '/sessions', own);
    expect(text).toContain('Portal link by your provider');
    expect(text).not.toContain('robin');
    expect(text.match(/not used/g)).toHaveLength(1);
    expect(revokePaths(text)).toHaveLength(2);
    for (const path of revokePaths(text))
      expect((await post(fixture, path, {}, own)).location).toBe('/sessions?done=revoked');
    await eventually(async () => (await statusOf(other, cookie)) === 303);
    for (const token of [used, unused])
      expect((await get(fixture, `/sign-in?token=${token}`)).status).toBe(401);
    const after = (await get(fixture, '/sessions', own)).text;
    expect(after).toContain('No link is live');
    expect(after).toContain('/sessions/end-others');
  });

  test('to the user of a token only those of that user, who ends no other session and no link', async () => {
    const id = uniqueName('users');
    const link = await openLink(await linkOf(id));
    const admin = await signInBy(await keyOf(id, { name: 'admin key' }));
    const [ada, second] = [
      await signInBy(await fixture.jwt({ tenant_id: id, sub: 'ada' })),
      await signInBy(await fixture.jwt({ tenant_id: id, sub: 'ada' })),
    ];
    const grace = await signInBy(await fixture.jwt({ tenant_id: id, sub: 'grace' }));
    const all = (await get(fixture, '/sessions', admin)).text;
    const { text } = await get(fixture, '/sessions', ada);
    for (const hidden of ['grace', 'admin key', 'Portal link', 'end-others', 'revoke'])
      expect(text).not.toContain(hidden);
    const [own = '', ...more] = endPaths(text);
    expect(more).toEqual([]);
    const mine = [own, ...endPaths((await get(fixture, '/sessions', second)).text)];
    const others = endPaths(all).filter((path) => !mine.includes(path));
    expect(others).toHaveLength(2);
    for (const path of others)
      expect((await post(fixture, path, {}, ada)).location).toBe('/sessions?done=gone');
    for (const path of ['/sessions/end-others', ...revokePaths(all)])
      expect((await post(fixture, path, {}, ada)).status).toBe(403);
    expect((await post(fixture, own, {}, grace)).location).toBe('/sessions?done=gone');
    expect((await post(fixture, own, {}, ada)).location).toBe('/sessions?done=ended');
    await eventually(async () => (await statusOf(fixture, second)) === 303);
    for (const cookie of [link, admin, ada, grace]) expect(await statusOf(fixture, cookie)).toBe(200);
  });

  test('a session that opened by a link ends all others and all other links at once, and stays with its link', async () => {
    const id = uniqueName('others');
    const [mine, theirs] = [await linkOf(id), await linkOf(id)];
    const [own, second] = [await openLink(mine), await openLink(mine)];
    const third = await signInBy(await fixture.jwt({ tenant_id: id }));
    expect((await post(fixture, '/sessions/end-others', {}, own)).location).toBe('/sessions?done=others');
    for (const cookie of [second, third])
      await eventually(async () => (await statusOf(other, cookie)) === 303);
    expect((await get(fixture, `/sign-in?token=${theirs}`)).status).toBe(401);
    for (const on of [fixture, other]) expect(await statusOf(on, own)).toBe(200);
    await eventually(async () => (await statusOf(fixture, await openLink(mine))) === 200);
    await fixture.admin(`DELETE /admin/v1/tenants/${id}/sessions`);
    for (const on of [fixture, other]) await eventually(async () => (await statusOf(on, own)) === 303);
  });

  test('a tenant ends no session of another tenant, and a key that may only read ends none', async () => {
    const [id, theirs] = [uniqueName('mine'), uniqueName('theirs')];
    const key = await keyOf(theirs);
    const [victim, own] = [await signInBy(key), await signInBy(key)];
    const [path = ''] = endPaths((await get(fixture, '/sessions', own)).text);
    const attacker = await signInBy(await keyOf(id));
    expect((await post(fixture, path, {}, attacker)).location).toBe('/sessions?done=gone');
    const reader = await signInBy(await keyOf(id, { scope: { permissions: ['usage'] } }));
    const { status, text } = await get(fixture, '/sessions', reader);
    expect([status, endPaths(text)]).toEqual([200, []]);
    expect(text).not.toContain('end-others');
    expect(text.match(/API key without a name/g)).toHaveLength(1);
    const [mine = ''] = endPaths((await get(fixture, '/sessions', attacker)).text);
    for (const refused of [mine, '/sessions/end-others'])
      expect((await post(fixture, refused, {}, reader)).status).toBe(403);
    for (const cookie of [victim, own, attacker, reader]) expect(await statusOf(fixture, cookie)).toBe(200);
  });
});

describe('the operator console lists the operators who are signed in', () => {
  const path = '/operator/sessions';
  const signIn = async (role: keyof typeof operatorTokens): Promise<string> =>
    cookieOf(await post(fixture, '/operator/sign-in', { token: operatorTokens[role] }));
  const endsIn = (text: string): readonly string[] =>
    pathsIn(text, /action="(\/operator\/sessions\/[0-9a-f-]{36}\/end)"/g);

  test('each ends own sessions, and an admin those of all operators, in every process', async () => {
    const [viewer, second] = [await signIn('viewer'), await signIn('viewer')];
    const [support, admin] = [await signIn('support'), await signIn('admin')];
    await eventually(async () => (await get(other, path, viewer)).text.includes('admin-operator'));
    const seen = await get(other, path, viewer);
    expect(seen.text).toContain('support-operator');
    expect(endsIn(seen.text)).toHaveLength(1);
    const { text } = await get(fixture, path, admin);
    expect(endsIn(text)).toHaveLength(3);
    const [foreign = ''] = pathsIn(
      text,
      /action="([^"]*)">[^<]*<button[^>]*>End<span[^>]*> the session of support-/g,
    );
    expect((await post(other, foreign, {}, viewer)).location).toBe(`${path}?done=session-gone`);
    expect(await statusOf(fixture, support, path)).toBe(200);
    const [own = ''] = endsIn(seen.text);
    expect((await post(other, own, {}, viewer)).location).toBe(`${path}?done=session-ended`);
    await eventually(async () => (await statusOf(fixture, second, path)) === 303);
    expect((await post(fixture, `${path}/end-others`, { name: 'admin-operator' }, viewer)).location).toBe(
      `${path}?done=session-gone`,
    );
    for (const name of ['viewer-operator', 'support-operator'])
      expect((await post(fixture, `${path}/end-others`, { name }, admin)).location).toBe(
        `${path}?done=session-ended`,
      );
    for (const cookie of [viewer, support])
      await eventually(async () => (await statusOf(other, cookie, path)) === 303);
    expect(await statusOf(other, admin, path)).toBe(200);
  });
});
