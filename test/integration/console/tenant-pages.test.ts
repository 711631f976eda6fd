import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { adminToken, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { get, post, visit } from './browser.ts';

let fixture: Fixture;
let operator: string;
beforeAll(async () => {
  fixture = await createFixture();
  const signIn = await post(fixture, '/operator/sign-in', { token: adminToken, name: 'Robin' });
  operator = signIn.cookie.split(';')[0] ?? '';
});
afterAll(() => fixture.dispose());

async function tenantOnFree(name: string): Promise<{ id: string; cookie: string }> {
  const id = uniqueName(name);
  await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', display_name: name });
  await eventually(() => fixture.directory.get(id)?.plan === 'free');
  return { id, cookie: await visit(fixture, id) };
}

function newestOf(id: string): Record<string, unknown> & { id: string } {
  const [request] = fixture.directory.get(id)?.limit_requests ?? [];
  if (request === undefined) throw new Error(`${id} has no request`);
  return { ...request };
}

describe('a request for a higher limit', () => {
  const wanted = { limit: 'minute', wanted: '500', for: '7d', reason: 'launch week' };

  test('B3, B12: it is approved by an operator; the tenant reads state, answer and end; its limit is higher', async () => {
    const { id, cookie } = await tenantOnFree('launch');
    expect((await get(fixture, '/usage', cookie)).text).toContain('href="/requests?limit=minute"');
    const limits = await get(fixture, '/limits', cookie);
    expect(limits.text).toContain('href="/requests?limit=minute"');
    const form = await get(fixture, '/requests?limit=minute', cookie);
    expect(form.text).toMatch(/<option value="minute" selected>Minute: 100 now</);

    expect((await post(fixture, '/requests', wanted, cookie)).location).toBe('/requests?done=sent');
    expect((await get(fixture, '/requests', cookie)).text).toMatch(
      /500 instead of 100[^]*waits for an answer/,
    );
    const { id: requestId } = newestOf(id);
    const list = await get(fixture, '/operator/requests', operator);
    expect(list.text).toContain('launch week');

    const path = `/operator/tenants/${id}/requests/${requestId}`;
    const grant = { value: '300', for: '2h', answer: 'Good luck <b>' };
    const done = await post(fixture, `${path}/approve`, grant, operator);
    expect(done.location).toMatch(/^\/operator\/requests\?done=request-approved&change=/);
    const answered = (await get(fixture, '/requests', cookie)).text;
    expect(answered).toMatch(/approved[^]*Raised to 300 until[^]*ends by itself in 2 h/);
    expect(answered).toContain('Good luck &lt;b&gt;');
    expect((await get(fixture, '/limits', cookie)).text).toMatch(/raised until/);
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ limits: [{ name: 'minute', limit: 300 }, { name: 'day' }] });
    expect(fixture.directory.get(id)?.history).toMatchObject([
      { action: 'limit-request-approve', actor: 'Robin' },
      { action: 'limit-request', actor: 'the tenant itself, by a portal link' },
      { action: 'put' },
    ]);
  });

  test('a form that is refused keeps what was typed and marks the field', async () => {
    const { id, cookie } = await tenantOnFree('typo');
    const refused = await post(fixture, '/requests', { ...wanted, wanted: '50' }, cookie);
    expect(refused.status).toBe(422);
    expect(refused.text).toMatch(/name="wanted"[^>]*aria-invalid="true"[^>]*value="50"/);
    expect(refused.text).toContain('above 100, which is your limit now');
    expect(refused.text).toContain('launch week</textarea>');
    await post(fixture, '/requests', wanted, cookie);
    const path = `/operator/tenants/${id}/requests/${newestOf(id).id}`;
    const undecided = await post(fixture, `${path}/decline`, { value: '500', for: '7d' }, operator);
    expect(undecided.status).toBe(422);
    expect(undecided.text).toContain('Give an answer');
    const soon = await post(fixture, `${path}/approve`, { value: '500', for: 'soon' }, operator);
    expect(soon.text).toMatch(/name="for"[^>]*aria-invalid="true"[^>]*value="soon"/);
    expect(newestOf(id)['state']).toBe('open');
  });

  test('a declined request shows its answer, a withdrawn one cannot be answered', async () => {
    const { id, cookie } = await tenantOnFree('declined');
    await post(fixture, '/requests', wanted, cookie);
    const path = `/operator/tenants/${id}/requests/${newestOf(id).id}`;
    await post(fixture, `${path}/decline`, { answer: 'The pro plan has it' }, operator);
    expect((await get(fixture, '/requests', cookie)).text).toMatch(/declined[^]*The pro plan has it/);
    await post(fixture, '/requests', wanted, cookie);
    const { id: second } = newestOf(id);
    const withdrawn = await post(fixture, `/requests/${second}/withdraw`, {}, cookie);
    expect(withdrawn.location).toBe('/requests?done=withdrawn');
    const late = await post(fixture, `/operator/tenants/${id}/requests/${second}/approve`, {}, operator);
    expect(late.status).toBe(409);
  });

  test('a tenant withdraws and sees its own requests only', async () => {
    const { id, cookie } = await tenantOnFree('mine');
    await post(fixture, '/requests', { ...wanted, reason: 'a secret launch' }, cookie);
    const { cookie: other } = await tenantOnFree('other');
    expect((await get(fixture, '/requests', other)).text).not.toContain('a secret launch');
    const stolen = await post(fixture, `/requests/${newestOf(id).id}/withdraw`, {}, other);
    expect(stolen.location).toBe('/requests?done=not-open');
    expect(newestOf(id)['state']).toBe('open');
  });
});

describe('events', () => {
  const minuteMs = 60_000;
  const idsOf = (text: string): string[] =>
    [...text.matchAll(/href="\/events\/([^"?]+)\?at=\d+"/g)].map(([, id]) => decodeURIComponent(id ?? ''));
  const nextOf = (text: string): string | null =>
    /rel="next"\s+href="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? null;

  test('every event is on exactly one page, newest first, also those of the same millisecond and of quiet weeks', async () => {
    const { id, cookie } = await tenantOnFree('events');
    const { id: other } = await tenantOnFree('neighbour');
    const now = Date.now();
    const stored = Array.from({ length: 130 }, (_, at) => ({
      tenant: id,
      timeMs:
        at < 70 ? now - 5 * minuteMs : at < 100 ? now - at * 10 * minuteMs : now - at * 60 * 3 * minuteMs,
    }));
    await storeUsage(fixture.clickhouse, [...stored, { tenant: other, timeMs: now - minuteMs }]);
    const seen: string[] = [];
    const pages: number[] = [];
    for (let url: string | null = '/events?span=30d'; url !== null;) {
      const { text } = await get(fixture, url, cookie);
      const ids = idsOf(text);
      seen.push(...ids);
      pages.push(ids.length);
      url = nextOf(text);
    }
    expect(new Set(seen).size).toBe(130);
    expect(seen).toHaveLength(130);
    expect(pages).toEqual([50, 50, 30]);
    expect(
      seen
        .map((one) => one.slice(0, 13))
        .toSorted()
        .toReversed(),
    ).toEqual(seen.map((one) => one.slice(0, 13)));
    const csv = await get(fixture, '/events?span=30d&format=csv', cookie);
    expect(csv.text.trim().split('\r\n')).toHaveLength(131);
    expect(csv.text.split('\r\n')[0]).toBe(
      'Time,Event,User,Status,Decision,Units,Cost,Event id,Source,Method,Path,Route,Limits without room,Latency (ms),Model,API key',
    );
  });

  test('a filter by user, status, decision, route or type selects, and is kept by the links of the page', async () => {
    const { id, cookie } = await tenantOnFree('filter');
    const now = Date.now();
    await storeUsage(fixture.clickhouse, [
      ...Array.from({ length: 60 }, (_, at) => ({
        tenant: id,
        timeMs: now - at * 1000,
        user: 'ada',
        status: 500,
      })),
      ...Array.from({ length: 60 }, (_, at) => ({ tenant: id, timeMs: now - at * 1000 - 500 })),
      {
        tenant: id,
        timeMs: now - 3 * 86_400_000,
        user: 'rare',
        decision: 'limited' as const,
        limitedBy: ['day'],
      },
      { tenant: id, timeMs: now - 1000, type: 'tokens.used', user: 'grace', route: '' },
    ]);
    const countOf = async (query: string): Promise<number> =>
      idsOf((await get(fixture, `/events?${query}`, cookie)).text).length;
    const first = await get(fixture, '/events?status=5xx&span=24h', cookie);
    expect(idsOf(first.text)).toHaveLength(50);
    const next = nextOf(first.text) ?? '';
    expect(next).toContain('status=5xx');
    expect(idsOf((await get(fixture, next, cookie)).text)).toHaveLength(10);
    expect(await countOf('span=7d&user=rare')).toBe(1);
    expect(await countOf('span=24h&user=rare')).toBe(0);
    expect(await countOf('span=7d&decision=limited')).toBe(1);
    expect(await countOf('span=7d&status=429')).toBe(1);
    expect(await countOf('span=7d&type=tokens.used')).toBe(1);
    expect(await countOf('span=1h&route=GET%20/none')).toBe(0);
    expect(await countOf('span=nonsense&status=nonsense&before=nonsense')).toBe(50);
  });

  test('the page of an event has every field with its unit, and links to the decision of a refusal', async () => {
    const { id, cookie } = await tenantOnFree('event');
    await storeUsage(fixture.clickhouse, [
      {
        ...{
          tenant: id,
          timeMs: Date.now() - 2000,
          latencyMs: 12,
          cost: '0.0125',
          model: 'gpt-4o',
          user: 'ada',
        },
        ...{ quantities: { tokens: 700 }, reservation: 'settled', reserved: { tokens: 900 } },
      },
      { tenant: id, timeMs: Date.now() - 1000, decision: 'limited', limitedBy: ['minute'] },
    ]);
    const [refusedId = '', servedId = ''] = idsOf((await get(fixture, '/events', cookie)).text);
    const served = await get(fixture, `/events/${servedId}`, cookie);
    expect(served.status).toBe(200);
    const facts = new Map(
      [...served.text.matchAll(/<dt>([^<]*)<\/dt>\s*<dd>([^]*?)<\/dd>/g)].map(([, name, value = '']) => [
        name,
        value.replaceAll(/<[^>]*>/g, '').trim(),
      ]),
    );
    expect(Object.fromEntries(facts)).toMatchObject({
      ...{ Answer: 'status 200', Decision: 'allowed', User: 'ada', 'Plan then': 'free', Latency: '12 ms' },
      ...{ 'Check of the limits': '120 µs', Cost: 'USD 0.0125', Model: 'gpt-4o', State: 'settled' },
      ...{ 'Event id': servedId, Corrected: 'no', Address: '192.0.2.1' },
    });
    const refused = await get(fixture, `/events/${refusedId}`, cookie);
    expect(refused.text).toContain(`href="/refusals/${refusedId}"`);
    const found = await get(fixture, `/events/find?id=${servedId}`, cookie);
    expect(found.status).toBe(200);
  });

  test('an event of another tenant is not shown, and its id is answered like one that does not exist', async () => {
    const { id, cookie } = await tenantOnFree('owner');
    const timeMs = Date.now() - 1000;
    await storeUsage(fixture.clickhouse, [{ tenant: id, timeMs, user: 'secret-user' }]);
    const [eventId = ''] = idsOf((await get(fixture, '/events', cookie)).text);
    const { cookie: other } = await tenantOnFree('curious');
    for (const path of [
      `/events/${eventId}`,
      `/events/${eventId}?at=${timeMs}`,
      `/events/find?id=${eventId}`,
    ]) {
      const answer = await get(fixture, path, other);
      expect(answer.status).toBe(404);
      expect(answer.text).not.toContain('secret-user');
    }
    expect((await get(fixture, `/events?id=${eventId}`, other)).text).not.toContain('secret-user');
    expect((await get(fixture, '/events/find?id=an-external-id', other)).location).toBe(
      '/events?span=30d&id=an-external-id',
    );
  });
});

test('E5: the guide has the limits of the tenant, its latest 429, and code for its API', async () => {
  const { id, cookie } = await tenantOnFree('guided');
  const before = await get(fixture, '/guide', cookie);
  expect(before.text).toContain('yours would read like this');
  expect(before.text).toMatch(
    /RateLimit-Policy: &quot;minute&quot;;q=100;w=60, &quot;day&quot;;q=1000;w=86400/,
  );
  expect(before.text).toMatch(/<code>"chat"<\/code>[^]*10 a minute/);
  await fixture.admin(`PATCH /admin/v1/tenants/${id}`, { overrides: { chat: 25 } });
  const route = 'POST /agent/chat';
  const refused = {
    tenant: id,
    timeMs: Date.now() - 1000,
    decision: 'limited' as const,
    limitedBy: ['chat'],
    route,
  };
  await storeUsage(fixture.clickhouse, [refused]);
  const { text } = await get(fixture, '/guide', cookie);
  const [eventId] = /\/refusals\/([0-9a-f-]{36})/.exec(text)?.slice(1) ?? [];
  expect(text).toContain(`X-Tollgate-Decision: ${eventId}`);
  expect(text).toContain('X-RateLimit-Limit: 25');
  expect(text).toContain('&quot;chat&quot;;r=0;t=7');
  expect(text).toContain('href="#code-openai"');
});
