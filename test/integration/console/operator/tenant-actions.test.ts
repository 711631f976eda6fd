import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { storeUsage } from '../../../support/stored-usage.ts';
import { createFixture, operatorTokens } from '../fixture.ts';
import type { Fixture } from '../fixture.ts';
import { get, post, visit } from '../browser.ts';
import type { Page } from '../browser.ts';

let fixture: Fixture;
let admin: string;
beforeAll(async () => {
  fixture = await createFixture();
  admin = await signIn('admin');
});
afterAll(() => fixture.dispose());

async function signIn(role: keyof typeof operatorTokens): Promise<string> {
  const page = await post(fixture, '/operator/sign-in', { token: operatorTokens[role], name: '' });
  return page.cookie.split(';')[0] ?? '';
}

async function newTenant(name: string, record: object = { plan: 'free' }): Promise<string> {
  const id = uniqueName(name);
  await fixture.admin(`PUT /admin/v1/tenants/${id}`, record);
  await eventually(() => fixture.directory.get(id) !== undefined);
  return id;
}

const act = (id: string, action: string, form: Record<string, string>, cookie = admin): Promise<Page> =>
  post(fixture, `/operator/tenants/${id}/${action}`, form, cookie);

/** The record without the fields that every change sets. */
function settingsOf(id: string): object {
  const ofEveryChange = ['history', 'version', 'updated_at', 'updated_by'];
  const fields = Object.entries(fixture.directory.get(id) ?? {});
  return Object.fromEntries(fields.filter(([name]) => !ofEveryChange.includes(name)));
}

/** Text of a part of a page without markup. */
const textOf = (markup: string): string =>
  markup
    .replaceAll('<wbr />', '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();

/** The change that the page after an action offers to undo. */
function undoOf(page: string): string {
  const done = /<section class="card done"[^]*?<\/section>/.exec(page)?.[0] ?? '';
  return /name="change" value="([^"]+)"/.exec(done)?.[1] ?? '';
}

describe('an action on the page of a tenant', () => {
  const actions = [
    ['plan', { plan: 'pro', overrides: 'minute = 700' }, { plan: 'pro', overrides: { minute: 700 } }],
    ['block', { for: '1d', reason: 'Unpaid invoice' }, { block: { reason: 'Unpaid invoice' } }],
    [
      'boosts',
      { limit: 'minute', how: 'set_to', value: '9', for: '7d', reason: 'launch' },
      { boosts: [{ set_to: 9 }] },
    ],
    [
      'settings',
      { time_zone: 'Europe/Berlin', billing_day: '15', group: 'acme-org' },
      { time_zone: 'Europe/Berlin', billing_day: 15, group: 'acme-org' },
    ],
    ['note', { text: 'Moves to pro in May' }, { internal_note: { text: 'Moves to pro in May' } }],
  ] as const;
  test.each(actions)(
    'C3, B12: “%s” is shown with its undo, which restores the record',
    async (name, form, after) => {
      const id = await newTenant('undo');
      const before = settingsOf(id);
      const done = await act(id, name, form);
      expect(done.status).toBe(303);
      expect(fixture.directory.get(id)).toMatchObject(after);
      const page = await get(fixture, done.location, admin);
      expect(page.text).toMatch(/<section class="card done"/);
      const changeId = undoOf(page.text);
      expect(changeId).not.toBe('');

      const undone = await act(id, 'undo', { change: changeId });
      expect(undone.status).toBe(303);
      expect(settingsOf(id)).toEqual(before);
      expect(fixture.directory.get(id)?.history?.[0]).toMatchObject({
        action: 'undo',
        actor: 'admin-operator',
        undo_of: changeId,
      });
      const list = textOf((await get(fixture, undone.location, admin)).text);
      expect(list).toContain('Undid what admin-operator did at');
      expect(list).toContain('Undone by admin-operator,');

      const again = await act(id, 'undo', { change: changeId });
      expect(again.status).toBe(409);
      expect(again.text).toContain('admin-operator undid it');
    },
  );

  test('a change that another one replaced cannot be undone, and both page and answer say who replaced it', async () => {
    const id = await newTenant('conflict');
    const first = await act(id, 'plan', { plan: 'pro' });
    const changeId = undoOf((await get(fixture, first.location, admin)).text);
    await fixture.admin(`PATCH /admin/v1/tenants/${id}`, { plan: 'enterprise' }, { 'x-actor': 'kim' });
    const page = textOf((await get(fixture, first.location, admin)).text);
    expect(page).toContain('Cannot be undone. kim changed plan after it');
    const refused = await act(id, 'undo', { change: changeId });
    expect(refused.status).toBe(409);
    expect(refused.text).toContain('kim changed plan after it');
    expect(fixture.directory.get(id)?.plan).toBe('enterprise');
  });

  test('the undo of a change of plan needs the role admin, the undo of a block the role support', async () => {
    const id = await newTenant('roles');
    const support = await signIn('support');
    const plan = await act(id, 'plan', { plan: 'pro' });
    const planChange = undoOf((await get(fixture, plan.location, admin)).text);
    expect((await act(id, 'undo', { change: planChange }, support)).status).toBe(403);
    expect(undoOf((await get(fixture, plan.location, support)).text)).toBe('');
    const block = await act(id, 'block', { for: '', reason: 'abuse' }, support);
    const change = undoOf((await get(fixture, block.location, support)).text);
    expect((await act(id, 'undo', { change }, support)).status).toBe(303);
    expect(fixture.directory.get(id)).not.toHaveProperty('block');
  });

  test('B12: a boost can start later', async () => {
    const id = await newTenant('planned');
    const form = { limit: 'minute', how: 'multiply', value: '2', for: '1d', reason: 'launch' };
    await act(id, 'boosts', { ...form, starts: '2099-01-31T08:00' });
    expect(fixture.directory.get(id)?.boosts).toMatchObject([
      { starts_at: '2099-01-31T08:00:00.000Z', ends_at: '2099-02-01T08:00:00.000Z' },
    ]);
    const wrong = await act(id, 'boosts', { ...form, starts: 'noon' });
    expect(wrong.status).toBe(422);
    expect(wrong.text).toMatch(/name="starts"[^>]*aria-invalid="true"/);
  });

  test('a reset says before and after that it cannot be undone', async () => {
    const id = await newTenant('reset');
    await fixture.spend(id, 3);
    expect((await get(fixture, `/operator/tenants/${id}`, admin)).text).toContain('This cannot be undone');
    const done = await act(id, 'reset', { confirm: id, reason: 'ticket 7' });
    const page = await get(fixture, done.location, admin);
    expect(textOf(page.text)).toContain('Cannot be undone. A reset cannot be undone');
    expect(undoOf(page.text)).toBe('');
  });

  test('a wrong time zone, billing day or group is refused with its field', async () => {
    const id = await newTenant('calendar');
    const form = { time_zone: 'Europe/Berlin', billing_day: '15', group: 'a' };
    for (const [field, value] of [
      ['time_zone', 'Mars/Olympus'],
      ['billing_day', '32'],
      ['billing_day', 'first'],
      ['group', 'a b'],
    ] as const) {
      const page = await act(id, 'settings', { ...form, [field]: value });
      expect(page.status, value).toBe(422);
      expect(page.text).toMatch(new RegExp(`name="${field}"[^>]*aria-invalid="true"`));
    }
  });
});

test('C3, C7: the page has requests this minute and today, the end of a block, the time of each reset, and who uses it', async () => {
  const id = await newTenant('status', { plan: 'free', time_zone: 'Asia/Tokyo' });
  await fixture.spend(id, 7);
  const nowMs = Date.now();
  await storeUsage(fixture.clickhouse, [
    { timeMs: nowMs - 3_000, tenant: id, user: 'ada', cost: 0.5 },
    { timeMs: nowMs - 2_000, tenant: id, user: 'ada', cost: 0.25 },
    {
      ...{ timeMs: nowMs - 1_000, tenant: id, user: 'grace', decision: 'limited', limitedBy: ['chat'] },
      ...{ route: 'POST /agent/chat', apiKey: '0123456789ab', policyRevision: 'rev-1' },
    },
  ]);
  const slot = (text: string, name: string): string =>
    textOf(
      new RegExp(`data-slot="${name}">[^]*?</dd>`).exec(text)?.[0].slice(`data-slot="${name}">`.length) ?? '',
    );
  const before = (await get(fixture, `/operator/tenants/${id}`, admin)).text;
  expect(slot(before, 'minute')).toBe('7');
  expect(slot(before, 'today')).toBe('7 (Asia/Tokyo)');
  expect(slot(before, 'blocked')).toBe('no');
  expect(textOf(before)).toMatch(/Limits full again Minute: .*GMT\+9 Day: .*00:00:00 GMT\+9/);
  expect(textOf(before)).toMatch(/Users User Requests Refused Cost ada 2 0 USD 0\.750 grace 1 1 USD 0/);
  await act(id, 'block', { for: '1h', reason: 'abuse' });
  const { text } = await get(fixture, `/operator/tenants/${id}`, admin);
  expect(slot(text, 'blocked')).toMatch(/^by an operator, until .*GMT\+9$/);
  const decision = /href="(\/operator\/decisions\/[^"]+)"/.exec(text)?.[1] ?? '';
  const explained = textOf((await get(fixture, decision, admin)).text);
  expect(explained).toContain('API key 0123456789ab');
  expect(explained).toContain('Policy revision rev-1');
});

test('an operator creates a key with a scope, and rolls it with an overlap', async () => {
  const id = await newTenant('keys');
  const form = { name: 'CI', for: '90d', permission: 'requests', routes: 'GET /v1/**' };
  const created = await act(id, 'api-keys', form);
  expect(created.status).toBe(201);
  const [key] = fixture.directory.get(id)?.api_keys ?? [];
  expect(key).toMatchObject({ name: 'CI', scope: { permissions: ['requests'], routes: ['GET /v1/**'] } });
  const page = textOf((await get(fixture, `/operator/tenants/${id}`, admin)).text);
  expect(page).toMatch(/CI [0-9a-f]{12} requests \(GET \/v1\/\*\*\) .* never .* Roll/);
  const rolled = await act(id, `api-keys/${key?.sha256 ?? ''}/roll`, { overlap: '24h' });
  expect(rolled.text).toMatch(/tgk_[\w-]{32}/);
  expect(fixture.directory.get(id)?.api_keys?.[0]?.rolled_to).toMatch(/^[0-9a-f]{64}$/);
  expect(fixture.directory.get(id)?.api_keys?.[1]).toMatchObject({ name: 'CI' });
  expect((await act(id, `api-keys/${key?.sha256 ?? ''}/roll`, { overlap: '24h' })).status).toBe(409);
  expect((await act(id, 'api-keys', { ...form, routes: 'nowhere' })).text).toContain('“nowhere”');
});

describe('the internal note of an action', () => {
  const note = 'Zanzibar: known for chargebacks';
  const portalPages = [
    ...['/usage', '/history', '/spend', '/refusals', '/events', '/limits', '/requests', '/guide', '/keys'],
    '/notifications',
  ];

  test('operators read it in history, audit trail and admin API; the tenant reads it nowhere', async () => {
    const id = await newTenant('private');
    const cookie = await visit(fixture, id);
    const wanted = { limit: 'minute', wanted: '500', for: '7d', reason: 'launch week' };
    const requestOf = (): string => fixture.directory.get(id)?.limit_requests?.[0]?.id ?? '';
    await post(fixture, '/requests', wanted, cookie);
    await act(id, `requests/${requestOf()}/decline`, { answer: 'Not now', internal_note: note });
    await post(fixture, '/requests', wanted, cookie);
    await act(id, `requests/${requestOf()}/approve`, {
      ...{ value: '500', for: '7d', answer: 'Good luck' },
      internal_note: note,
    });
    await act(id, 'note', { text: note });
    await act(id, 'boosts', {
      ...{ limit: 'day', how: 'multiply', value: '2', for: '1d', reason: 'launch' },
      internal_note: note,
    });
    await act(id, 'block', { for: '1d', reason: 'Unpaid invoice', internal_note: note });

    const page = await get(fixture, `/operator/tenants/${id}`, admin);
    expect(page.text.split(note).length - 1).toBeGreaterThanOrEqual(6);
    const audit = await fixture.admin(`GET /admin/v1/audit?tenant_id=${id}&action=block`);
    expect(audit.body).toMatchObject({ changes: [{ facts: { internal_note: note } }] });
    for (const path of portalPages) {
      const { text, status } = await get(fixture, path, cookie);
      expect(status, path).toBe(200);
      expect(text, path).not.toContain('Zanzibar');
    }
    expect((await get(fixture, '/usage', cookie)).text).toContain('Unpaid invoice');
    expect((await get(fixture, '/requests', cookie)).text).toContain('Not now');
    expect(JSON.stringify({ ...settingsOf(id), internal_note: null })).not.toContain('Zanzibar');
  });

  test('that another operator wrote since the page was read is not replaced, and the page has both texts', async () => {
    const id = await newTenant('note');
    await act(id, 'note', { text: 'pays late', read_at: '' });
    const page = await act(id, 'note', { text: 'moves to pro', read_at: '' });
    expect(page.status).toBe(409);
    expect(textOf(page.text)).toContain('changed the note meanwhile');
    for (const text of ['pays late', 'moves to pro']) expect(textOf(page.text)).toContain(text);
    const readAt = /name="read_at" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
    expect((await act(id, 'note', { text: 'both', read_at: readAt })).status).toBe(303);
  });

  test('by the admin API, with the undo', async () => {
    const id = await newTenant('by-api');
    const path = `/admin/v1/tenants/${id}`;
    await fixture.admin(`POST ${path}/block`, { reason: 'abuse', internal_note: note });
    expect(fixture.directory.get(id)?.history?.[0]).toMatchObject({ action: 'block', internal_note: note });
    const undone = await fixture.admin(`POST ${path}/undo`, {});
    expect(undone.status).toBe(200);
    expect(String(undone.body['detail'])).toContain('Undid what');
    expect(fixture.directory.get(id)).not.toHaveProperty('block');
    const written = await fixture.admin(`PUT ${path}/internal-note`, { text: note });
    expect(written.body).toMatchObject({ internal_note: { text: note } });
    const read = { 'if-match': String(written.headers['etag']) };
    const replace = async (text: string): Promise<number> =>
      (await fixture.admin(`PUT ${path}/internal-note`, { text }, read)).status;
    expect(await replace('moves to pro')).toBe(200);
    expect(await replace('moves to free')).toBe(412);
    expect((await fixture.admin(`PUT ${path}/internal-note`, { text: 'x'.repeat(2_001) })).status).toBe(422);
    expect((await fixture.admin(`PUT ${path}/internal-note`, { text: '' })).body).toMatchObject({
      internal_note: null,
    });
  });
});
