import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { get, getAsScript, post, visit } from './browser.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const pages = ['/usage', '/history', '/refusals', '/limits', '/requests', '/notifications', '/guide'];

describe('signing in', () => {
  test('B10: a link signs in, with a cookie that scripts and other sites cannot use', async () => {
    const page = await get(fixture, `/sign-in?token=${await fixture.link(uniqueName('link'), 60_000)}`);
    expect(page).toMatchObject({ status: 303, location: '/usage' });
    expect(page.cookie).toMatch(/HttpOnly/);
    expect(page.cookie).toMatch(/SameSite=Lax/);
  });

  test('an expired or changed link is refused with its reason and opens no session', async () => {
    const expired = await get(fixture, `/sign-in?token=${await fixture.link('acme', -5000)}`);
    const token = await fixture.link('acme', 60_000);
    const changed = await get(fixture, `/sign-in?token=${token.slice(0, -4)}AAAA`);
    const [header, , signature] = token.split('.');
    const other = Buffer.from(JSON.stringify({ sub: 'globex', exp: 4e9 })).toString('base64url');
    const forged = await get(fixture, `/sign-in?token=${header ?? ''}.${other}.${signature ?? ''}`);
    const unsigned = await get(
      fixture,
      `/sign-in?token=${Buffer.from('{"alg":"none"}').toString('base64url')}.${other}.`,
    );
    for (const page of [expired, changed, forged, unsigned, await get(fixture, '/sign-in')]) {
      expect(page.status).toBe(401);
      expect(page.cookie).toBe('');
    }
    expect(expired.text).toContain('This link has expired');
    expect(changed.text).toContain('not complete or was changed');
  });

  test('B10: an API key or a JWT signs in to its own tenant', async () => {
    const id = uniqueName('keyed');
    const { body } = await fixture.admin(`POST /admin/v1/tenants/${id}/api-keys`);
    const byKey = await post(fixture, '/sign-in', { credential: String(body['api_key']) });
    expect(byKey).toMatchObject({ status: 303, location: '/usage' });
    const byJwt = await post(fixture, '/sign-in', {
      credential: ` Bearer ${await fixture.jwt({ tenant_id: id })} `,
    });
    for (const { cookie } of [byKey, byJwt])
      expect((await get(fixture, '/usage', cookie)).text).toContain(id);
  });

  const wrong: readonly [string, string][] = [
    ['an unknown key', 'tgk_0123456789012345678901234567890'],
    ['words', 'let me in'],
    ['an unsigned token', 'eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRfaWQiOiJhIn0.'],
    ['nothing', ''],
  ];
  test.each(wrong)('%s opens no session, and the page states the reason', async (_what, credential) => {
    const page = await post(fixture, '/sign-in', { credential });
    expect(page.status).toBe(401);
    expect(page.cookie).toBe('');
    expect(page.text).toMatch(/aria-invalid="true"[^]*<p class="error"/);
  });

  test('a sign-out ends the session of this browser', async () => {
    const page = await post(fixture, '/sign-out', {}, await visit(fixture, uniqueName('out')));
    expect(page.status).toBe(303);
    expect(page.cookie).toMatch(/tollgate_portal=;/);
  });

  test('a form sent by another site does nothing', async () => {
    const id = uniqueName('forged');
    const cookie = await visit(fixture, id);
    const form = { threshold: '0.5', webhooks: 'https://evil.example/', slack: '', emails: '' };
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }])
      expect((await post(fixture, '/notifications', form, cookie, headers)).status).toBe(403);
    expect(fixture.directory.get(id)).toBeUndefined();
  });
});

/** The text of a page without its addresses, which repeat the query that the visitor sent. */
function withoutLinks(text: string): string {
  return text.replaceAll(/(href|hx-get)="[^"]*"/g, '');
}

describe('isolation', () => {
  test('C2: every page and endpoint needs a session', async () => {
    for (const url of [...pages, '/refusals/019aa4c2-6f00-7abc-8def-0123456789ab']) {
      for (const cookie of ['', 'tollgate_portal=nonsense'])
        expect(await get(fixture, url, cookie)).toMatchObject({
          status: 303,
          location: '/?reason=signed-out',
        });
    }
    for (const url of ['/usage/live', '/usage?part=today'])
      expect(await getAsScript(fixture, url)).toMatchObject({
        status: 401,
        headers: { 'hx-redirect': '/?reason=signed-out' },
      });
    expect((await post(fixture, '/notifications', {})).location).toBe('/?reason=signed-out');
  });

  test('C2: no path and no query shows a tenant the data of another', async () => {
    const [mine, theirs] = [uniqueName('mine'), uniqueName('theirs')];
    await storeUsage(fixture.clickhouse, [
      { timeMs: Date.now() - 60_000, tenant: mine, user: 'ada' },
      ...Array.from({ length: 4321 }, (_, at) => ({
        timeMs: Date.now() - 60_000 - at,
        tenant: theirs,
        decision: 'limited' as const,
        limitedBy: ['chat'],
        user: 'their-user',
      })),
    ]);
    await fixture.admin(`PUT /admin/v1/tenants/${theirs}`, { display_name: 'Their Name' });
    const [event] = await fixture.clickhouse.query<{ event_id: string }>(
      'SELECT event_id FROM usage_events WHERE tenant_id = {tenant:String} LIMIT 1',
      { tenant: theirs },
    );
    const cookie = await visit(fixture, mine);
    const urls = [...pages, '/refusals/find'].map(
      (url) => `${url}?tenant_id=${theirs}&tenant=${theirs}&id=${event?.event_id ?? ''}`,
    );
    for (const url of [...urls, `/refusals/${event?.event_id ?? ''}`]) {
      const page = await get(fixture, url, cookie);
      for (const secret of [theirs, 'Their Name', 'their-user', '4,321', '4321'])
        expect(withoutLinks(page.text)).not.toContain(secret);
    }
    expect((await get(fixture, `/refusals/${event?.event_id ?? ''}`, cookie)).status).toBe(404);
    expect(
      (await get(fixture, `/refusals/${event?.event_id ?? ''}`, await visit(fixture, theirs))).status,
    ).toBe(200);
  });

  test('a link is not accepted as a session, nor a tenant’s session as an operator’s', async () => {
    const id = uniqueName('swap');
    const link = await fixture.link(id, 60_000);
    expect((await get(fixture, '/usage', `tollgate_portal=${link}`)).status).toBe(303);
    const session = (await visit(fixture, id)).split('=')[1] ?? '';
    expect((await get(fixture, `/sign-in?token=${session}`)).status).toBe(401);
    for (const path of ['tenants', `tenants/${id}`, 'growth', 'audit', 'dead-letters', 'pipeline'])
      expect((await get(fixture, `/operator/${path}`, `tollgate_operator=${session}`)).location).toBe(
        '/operator?reason=signed-out',
      );
    const live = `/operator/tenants/${id}/live`;
    expect((await getAsScript(fixture, live, `tollgate_operator=${session}`)).status).toBe(401);
  });
});
