import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { createBed } from './bed.ts';
import type { Bed } from './bed.ts';

let bed: Bed;
beforeAll(async () => {
  bed = await createBed();
});
afterAll(() => bed.dispose());

const pages = ['/usage', '/history', '/refusals', '/limits', '/notifications', '/guide'];
const hourMs = 3_600_000;

interface Page {
  readonly status: number;
  readonly text: string;
  readonly location: string;
  readonly cookie: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

async function get(url: string, cookie = '', on: Bed = bed): Promise<Page> {
  return read(await on.console.web.inject({ method: 'GET', url, headers: { cookie } }));
}

async function post(
  url: string,
  form: Record<string, string> | [string, string][],
  cookie = '',
  headers: Record<string, string> = {},
): Promise<Page> {
  const payload = new URLSearchParams(form).toString();
  return read(
    await bed.console.web.inject({
      method: 'POST',
      url,
      payload,
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
    }),
  );
}

function read(response: { statusCode: number; body: string; headers: Record<string, unknown> }): Page {
  const set = response.headers['set-cookie'];
  return {
    status: response.statusCode,
    text: response.body,
    location: typeof response.headers['location'] === 'string' ? response.headers['location'] : '',
    cookie: typeof set === 'string' ? set : '',
    headers: response.headers,
  };
}

/** The cookie of a visitor who came by a link. */
async function visit(tenantId: string, on: Bed = bed): Promise<string> {
  const page = await get(`/sign-in?token=${await on.tokens.signLink(tenantId, 60_000)}`, '', on);
  expect(page.status).toBe(303);
  return page.cookie.split(';')[0] ?? '';
}

describe('signing in', () => {
  test('B10: a link signs in, with a cookie that scripts and other sites cannot use', async () => {
    const page = await get(`/sign-in?token=${await bed.tokens.signLink(uniqueName('link'), 60_000)}`);
    expect(page).toMatchObject({ status: 303, location: '/usage' });
    expect(page.cookie).toMatch(/HttpOnly/);
    expect(page.cookie).toMatch(/SameSite=Lax/);
  });

  test('an expired or changed link says so and signs nobody in', async () => {
    const expired = await get(`/sign-in?token=${await bed.tokens.signLink('acme', -5000)}`);
    const token = await bed.tokens.signLink('acme', 60_000);
    const changed = await get(`/sign-in?token=${token.slice(0, -4)}AAAA`);
    const [header, , signature] = token.split('.');
    const other = Buffer.from(JSON.stringify({ sub: 'globex', exp: 4e9 })).toString('base64url');
    const forged = await get(`/sign-in?token=${header ?? ''}.${other}.${signature ?? ''}`);
    const unsigned = await get(
      `/sign-in?token=${Buffer.from('{"alg":"none"}').toString('base64url')}.${other}.`,
    );
    for (const page of [expired, changed, forged, unsigned, await get('/sign-in')]) {
      expect(page.status).toBe(401);
      expect(page.cookie).toBe('');
    }
    expect(expired.text).toContain('This link has expired');
    expect(changed.text).toContain('not complete or was changed');
  });

  test('B10: an API key or a JWT signs in to its own tenant', async () => {
    const id = uniqueName('keyed');
    const { body } = await bed.admin(`POST /admin/v1/tenants/${id}/api-keys`);
    const byKey = await post('/sign-in', { credential: String(body['api_key']) });
    expect(byKey).toMatchObject({ status: 303, location: '/usage' });
    const byJwt = await post('/sign-in', { credential: ` Bearer ${await bed.jwt({ tenant_id: id })} ` });
    for (const { cookie } of [byKey, byJwt]) expect((await get('/usage', cookie)).text).toContain(id);
  });

  const wrong: readonly [string, string][] = [
    ['an unknown key', 'tgk_0123456789012345678901234567890'],
    ['words', 'let me in'],
    ['an unsigned token', 'eyJhbGciOiJub25lIn0.eyJ0ZW5hbnRfaWQiOiJhIn0.'],
    ['nothing', ''],
  ];
  test.each(wrong)('%s signs nobody in, and the page says why', async (_what, credential) => {
    const page = await post('/sign-in', { credential });
    expect(page.status).toBe(401);
    expect(page.cookie).toBe('');
    expect(page.text).toContain('role="alert"');
  });

  test('signing out ends the session of this browser', async () => {
    const page = await post('/sign-out', {}, await visit(uniqueName('out')));
    expect(page.status).toBe(303);
    expect(page.cookie).toMatch(/tollgate_portal=;/);
  });

  test('a form sent by another site does nothing', async () => {
    const id = uniqueName('forged');
    const cookie = await visit(id);
    const form = { threshold: '0.5', webhooks: 'https://evil.example/', slack: '', emails: '' };
    for (const headers of [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }])
      expect((await post('/notifications', form, cookie, headers)).status).toBe(403);
    expect(bed.directory.get(id)).toBeUndefined();
  });
});

describe('isolation', () => {
  test('C2: every page and endpoint needs a session', async () => {
    for (const url of [...pages, '/refusals/019aa4c2-6f00-7abc-8def-0123456789ab']) {
      for (const cookie of ['', 'tollgate_portal=nonsense'])
        expect(await get(url, cookie)).toMatchObject({ status: 303, location: '/?reason=signed-out' });
    }
    for (const url of ['/data/usage', '/data/series']) expect((await get(url)).status).toBe(401);
    expect((await post('/notifications', {})).location).toBe('/?reason=signed-out');
  });

  test('C2: a tenant never sees another, by whatever it puts into paths and queries', async () => {
    const [mine, theirs] = [uniqueName('mine'), uniqueName('theirs')];
    await storeUsage(bed.clickhouse, [
      { timeMs: Date.now() - 60_000, tenant: mine, user: 'ada' },
      ...Array.from({ length: 4321 }, (_, at) => ({
        timeMs: Date.now() - 60_000 - at,
        tenant: theirs,
        decision: 'limited' as const,
        limitedBy: ['chat'],
        user: 'their-user',
      })),
    ]);
    await bed.admin(`PUT /admin/v1/tenants/${theirs}`, { display_name: 'Their Name' });
    const [event] = await bed.clickhouse.query<{ event_id: string }>(
      'SELECT event_id FROM usage_events WHERE tenant_id = {tenant:String} LIMIT 1',
      { tenant: theirs },
    );
    const cookie = await visit(mine);
    const asked = [...pages, '/data/usage', '/data/series', '/refusals/find'].map(
      (url) => `${url}?tenant_id=${theirs}&tenant=${theirs}&id=${event?.event_id ?? ''}`,
    );
    for (const url of [...asked, `/refusals/${event?.event_id ?? ''}`]) {
      const page = await get(url, cookie);
      for (const secret of [theirs, 'Their Name', 'their-user', '4,321', '4321'])
        expect(page.text).not.toContain(secret);
    }
    expect((await get(`/refusals/${event?.event_id ?? ''}`, cookie)).status).toBe(404);
    expect((await get(`/refusals/${event?.event_id ?? ''}`, await visit(theirs))).status).toBe(200);
  });

  test('a link is no session, and a tenant’s session is no operator’s', async () => {
    const id = uniqueName('swap');
    const link = await bed.tokens.signLink(id, 60_000);
    expect((await get('/usage', `tollgate_portal=${link}`)).status).toBe(303);
    const session = (await visit(id)).split('=')[1] ?? '';
    expect((await get(`/sign-in?token=${session}`)).status).toBe(401);
    for (const path of ['tenants', `tenants/${id}`, 'growth', 'audit', 'dead-letters', 'pipeline'])
      expect((await get(`/operator/${path}`, `tollgate_operator=${session}`)).location).toBe(
        '/operator?reason=signed-out',
      );
    expect((await get(`/operator/data/tenants/${id}`, `tollgate_operator=${session}`)).status).toBe(401);
  });
});

describe('pages', () => {
  test('B4: the usage page shows each limit with what is used and left', async () => {
    const id = uniqueName('usage');
    await bed.spend(id, 85);
    const { text, headers } = await get('/usage', await visit(id));
    expect(text).toMatch(/data-slot="used">85</);
    expect(text).toMatch(/data-slot="remaining">15</);
    expect(text).toContain('close to the limit');
    expect(text).toContain('Free plan');
    expect(String(headers['content-security-policy'])).not.toContain('unsafe');
    const { limits } = JSON.parse((await get('/data/usage', await visit(id))).text) as { limits: object[] };
    expect(limits).toMatchObject([
      { name: 'minute', limit: 100, used: 85, remaining: 15 },
      { name: 'day', limit: 1000, used: 85, calendar: 'day' },
    ]);
  });

  test('B4: history has every request of the span, served and refused', async () => {
    const id = uniqueName('history');
    const now = Date.now();
    await storeUsage(bed.clickhouse, [
      ...Array.from({ length: 6 }, (_, at) => ({ timeMs: now - at * hourMs, tenant: id })),
      { timeMs: now - 2 * hourMs, tenant: id, decision: 'limited' as const, limitedBy: ['minute'] },
      { timeMs: now - 10 * 24 * hourMs, tenant: id },
    ]);
    const cookie = await visit(id);
    const sums = async (span: string, points: number): Promise<readonly number[]> => {
      const answer = JSON.parse((await get(`/data/series?span=${span}`, cookie)).text) as {
        points: { requests: number; limited: number }[];
      };
      expect(answer.points).toHaveLength(points);
      return (['requests', 'limited'] as const).map((name) =>
        answer.points.reduce((sum, one) => sum + one[name], 0),
      );
    };
    expect(await sums('24h', 96)).toEqual([7, 1]);
    expect(await sums('30d', 30)).toEqual([8, 1]);
    expect((await get('/history?span=30d', cookie)).text).toContain('Requests a day');
  });

  test('a refusal is explained: limit, window, route, when it would have passed', async () => {
    const id = uniqueName('why');
    await storeUsage(bed.clickhouse, [
      {
        timeMs: Date.now() - 5000,
        tenant: id,
        decision: 'limited',
        limitedBy: ['chat'],
        route: 'POST /agent/chat',
      },
    ]);
    const cookie = await visit(id);
    const list = await get('/refusals', cookie);
    expect(list.text).toContain(
      'The limit “chat” allows 10 requests in any minute for each user on POST /agent/chat',
    );
    const detail = await get(/href="(\/refusals\/[0-9a-f-]+)"/.exec(list.text)?.[1] ?? '', cookie);
    expect(detail.status).toBe(200);
    expect(detail.text).toContain('at the latest 1 min later');
  });

  test('no data says so on every page, and shows no graph', async () => {
    const cookie = await visit(uniqueName('new'));
    expect((await get('/usage', cookie)).text).toContain('No requests yet today');
    expect((await get('/usage', cookie)).text).toContain('No requests in the last 24 hours');
    expect((await get('/refusals', cookie)).text).toContain('Nothing was refused');
    expect((await get('/notifications', cookie)).text).toContain('None yet');
  });

  test('C8: notification settings are saved to the record; a webhook keeps its secret', async () => {
    const id = uniqueName('notify');
    const cookie = await visit(id);
    const form: [string, string][] = [
      ['threshold', '0.8'],
      ['threshold', '1'],
      ['webhooks', 'https://example.com/hook'],
      ['emails', 'dev@example.com\nops@example.com'],
      ['slack', ''],
    ];
    expect((await post('/notifications', form, cookie)).location).toBe('/notifications?done=saved');
    const saved = bed.directory.get(id)?.notifications;
    expect(saved).toMatchObject({ thresholds: [0.8, 1], emails: ['dev@example.com', 'ops@example.com'] });
    expect(saved?.webhooks?.[0]?.secrets[0]).toMatch(/^whsec_/);
    await post('/notifications', form, cookie);
    expect(bed.directory.get(id)?.notifications?.webhooks).toEqual(saved?.webhooks);
    const bad = await post('/notifications', { emails: 'nobody', webhooks: 'ftp://x', slack: '' }, cookie);
    expect(bad.status).toBe(422);
    expect(bad.text).toContain('“nobody” is no e-mail address');
  });

  test('C8: a test message needs a target, and is asked for once', async () => {
    const id = uniqueName('test-message');
    const cookie = await visit(id);
    expect((await post('/notifications/test', {}, cookie)).location).toContain('no-target');
    await post('/notifications', { emails: 'dev@example.com', webhooks: '', slack: '' }, cookie);
    expect((await post('/notifications/test', {}, cookie)).location).toContain('tested');
    expect(bed.testMessages.filter((event) => event.tenant_id === id)).toMatchObject([{ kind: 'test' }]);
  });

  test('text from tenants cannot become markup', async () => {
    const id = uniqueName('<script>alert(1)</script>');
    await bed.admin(`PUT /admin/v1/tenants/${encodeURIComponent(id)}`, {
      display_name: '"><img src=x onerror=1>',
    });
    const { text } = await get('/usage', await visit(id));
    expect(text).not.toContain('<script>alert');
    expect(text).not.toContain('<img');
  });
});

describe('a store that does not answer', () => {
  test('without ClickHouse the live limits still show, and missing totals say so: never a zero', async () => {
    const lame = await createBed({ clickhouseUrl: 'http://127.0.0.1:9' });
    try {
      const id = uniqueName('no-clickhouse');
      await lame.spend(id, 12);
      const cookie = await visit(id, lame);
      const { text, status } = await get('/usage', cookie, lame);
      expect(status).toBe(200);
      expect(text).toMatch(/data-slot="used">12</);
      expect(text).toContain('Today&#39;s totals cannot be shown right now');
      expect(text).toContain('The graph cannot be shown right now');
      expect(text).not.toContain('No requests');
      expect((await get('/data/series', cookie, lame)).status).toBe(503);
      expect((await get('/refusals', cookie, lame)).text).toContain('cannot be shown right now');
      const list = await lame.admin('GET /admin/v1/tenants');
      expect(list.body).toMatchObject({ usage_known: false });
      expect((await lame.admin(`GET /admin/v1/tenants/${id}/status`)).status).toBe(503);
      const reset = await lame.admin(`POST /admin/v1/tenants/${id}/reset`);
      expect(reset.status, 'a reset that cannot record what it took out is refused').toBe(503);
    } finally {
      await lame.dispose();
    }
  });

  test('without Redis history still shows, and live usage says it is missing', async () => {
    const lame = await createBed({ redisUrl: 'redis://127.0.0.1:9' });
    try {
      const id = uniqueName('no-redis');
      await storeUsage(lame.clickhouse, [{ timeMs: Date.now() - 1000, tenant: id }]);
      const cookie = await visit(id, lame);
      const { text } = await eventually(async () => {
        const page = await get('/usage', cookie, lame);
        return page.text.includes('Live usage cannot be shown') ? page : null;
      });
      expect(text).toContain('data-graph');
      expect(text).not.toMatch(/data-slot="used"/);
      expect((await lame.admin(`GET /admin/v1/tenants/${id}/status`)).status).toBe(503);
      expect((await lame.admin(`POST /admin/v1/tenants/${id}/reset`)).status).toBe(503);
    } finally {
      await lame.dispose();
    }
  });
});
