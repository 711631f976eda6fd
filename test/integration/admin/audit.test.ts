import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { storeAuditEntries } from '../../../services/aggregator/audit-entries.ts';
import { storeTenantRecords } from '../../../services/aggregator/tenant-records.ts';
import { followTopic } from '../../../shared/kafka/tables/follow-topic.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { get, post, visit } from '../console/browser.ts';
import { adminToken, createFixture, operatorTokens } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';
import { eventually, uniqueName } from '../../support/servers.ts';

interface Entry {
  readonly id: string;
  readonly at: string;
  readonly tenant_id: string;
  readonly actor: string;
  readonly source: string;
  readonly action: string;
  readonly reason: string;
  readonly before?: Record<string, unknown>;
  readonly after?: Record<string, unknown>;
  readonly facts?: Record<string, string>;
}

let fixture: Fixture;
/** Stores everything that the audit trail's topics have, as the aggregator does. Repeating it changes nothing. */
let store: () => Promise<void>;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  fixture = await createFixture();
  const { kafka, topics, clickhouse } = fixture;
  const registry = new Registry();
  const seen = new Map<string, ConsumedMessage[]>();
  for (const topic of [topics.tenants, topics.audit]) {
    const messages: ConsumedMessage[] = [];
    const onRecord = (message: ConsumedMessage): boolean => messages.push(message) > 0;
    const followed = followTopic(kafka, { topic, name: topic, registry, onRecord });
    closing.push(() => followed.close());
    seen.set(topic, messages);
  }
  store = async () => {
    await storeTenantRecords(clickhouse, seen.get(topics.tenants) ?? []);
    await storeAuditEntries(clickhouse, seen.get(topics.audit) ?? []);
  };
});
afterAll(async () => {
  await Promise.all(closing.map((close) => close()));
  await fixture.dispose();
});

async function read(
  query: Record<string, string>,
): Promise<{ changes: Entry[]; next_cursor: string | null }> {
  const { status, body } = await fixture.admin(
    `GET /admin/v1/audit?${new URLSearchParams(query).toString()}`,
  );
  expect(status).toBe(200);
  return body as never;
}

async function signIn(token: string, name = ''): Promise<string> {
  const page = await post(fixture, '/operator/sign-in', { token, name });
  return page.cookie.split(';')[0] ?? '';
}

/** Entries that ClickHouse has: they state their source. */
function storedOf(tenantId: string, count: number): Promise<Entry[]> {
  return eventually(async () => {
    await store();
    const { changes } = await read({ tenant_id: tenantId, limit: '1000' });
    return changes.length === count && changes.every(({ source }) => source !== '') ? changes : null;
  });
}

describe('the audit trail', () => {
  test('has every change with its actor, source, reason and the changed fields, also after the deletion of the record', async () => {
    const id = uniqueName('audited');
    const robin = { 'x-actor': 'robin' };
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free' }, robin);
    await fixture.admin(
      `PATCH /admin/v1/tenants/${id}`,
      { plan: 'pro' },
      { ...robin, 'user-agent': 'tollgate-cli' },
    );
    await fixture.admin(`POST /admin/v1/tenants/${id}/block`, { reason: 'abuse' }, robin);
    const { body } = await fixture.admin('POST /admin/v1/portal-links', { tenant_id: id }, robin);
    const portal = await get(fixture, String(body['url']).replace('http://console.test', ''));
    await fixture.admin(`DELETE /admin/v1/tenants/${id}`, undefined, robin);
    const changes = await storedOf(id, 6);
    expect(changes.map(({ action, source }) => [action, source])).toEqual([
      ['delete', 'admin-api'],
      ['sign-in', 'portal'],
      ['portal-link', 'admin-api'],
      ['block', 'admin-api'],
      ['patch', 'cli'],
      ['put', 'admin-api'],
    ]);
    expect(portal.status).toBe(303);
    expect(changes[4]).toMatchObject({ actor: 'robin', before: { plan: 'free' }, after: { plan: 'pro' } });
    expect(changes[3]).toMatchObject({ reason: 'abuse', before: {}, after: { block: { reason: 'abuse' } } });
    expect(changes[1]).toMatchObject({ actor: 'the tenant itself', tenant_id: id });
    expect(changes[1]?.facts?.['via']).toMatch(/^link /);
    expect(changes[0]).toMatchObject({ before: { plan: 'pro', block: { reason: 'abuse' } }, after: {} });
  });

  test('has the test messages of the console and of the admin API, each with its target and its operator', async () => {
    const id = uniqueName('tested');
    const robin = { 'x-actor': 'robin' };
    const emails = ['dev@example.com'];
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', notifications: { emails } }, robin);
    await eventually(() => fixture.directory.get(id) !== undefined);
    const { body } = await fixture.admin(`POST /admin/v1/tenants/${id}/test-alert`, {}, robin);
    const [{ id: target } = { id: '' }] = body['targets'] as { id: string }[];
    const cookie = await signIn(adminToken, 'kim');
    const sent = await post(fixture, `/operator/tenants/${id}/test-alert`, { target }, cookie);
    expect(sent.status).toBe(303);
    const changes = await storedOf(id, 3);
    expect(changes).toMatchObject([
      { action: 'test-alert', actor: 'kim', detail: `Test message sent to ${target}` },
      {
        action: 'test-alert',
        actor: 'robin',
        source: 'admin-api',
        detail: 'Test message sent to all notification targets',
      },
      { action: 'put' },
    ]);
    expect(changes[0]?.source).toBe('console');
  });

  test('C8, B12: a test message goes to one target; a viewer cannot send it; the sixth is refused', async () => {
    const id = uniqueName('test-message');
    const emails = ['dev@example.com', 'ops@example.com'];
    const slack = ['https://hooks.slack.example/services/secret'];
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', notifications: { emails, slack } });
    await eventually(() => fixture.directory.get(id) !== undefined);
    const [support, viewer] = [await signIn(operatorTokens.support), await signIn(operatorTokens.viewer)];
    const path = `/operator/tenants/${id}`;
    const send = (target: string, cookie = support) =>
      post(fixture, `${path}/test-alert`, { target }, cookie);
    const page = (await get(fixture, path, support)).text;
    expect(page).not.toContain('services/secret');
    expect(page).toContain('aria-label="Send test to dev@example.com"');
    const [target = ''] = /email-[0-9a-f]{16}/.exec(page) ?? [];
    expect((await send(target, viewer)).status).toBe(403);
    expect((await get(fixture, path, viewer)).text).not.toContain('Send test to');
    expect((await send('none')).status).toBe(404);
    const sent = await send(target);
    expect(sent.location).toBe(`${path}?done=tested`);
    expect(fixture.testMessages.filter((event) => event.tenant_id === id)).toMatchObject([
      { kind: 'test', only_target: target },
    ]);
    const after = (await get(fixture, sent.location, support)).text;
    expect(after).toContain('A test message is on its way');
    expect(after).toMatch(/id="part-deliveries"/);
    for (let count = 2; count <= 5; count += 1) await send(target);
    const sixth = await send(target);
    expect(sixth.status).toBe(429);
    expect(sixth.text).toContain('Five test messages in ten minutes are the most');
    // The tenant's own messages count too.
    const own = await post(fixture, '/notifications/test', {}, await visit(fixture, id));
    expect(own.location).toContain('too-many');
  });

  test('names the command line as the source of a request that it declined', async () => {
    const id = uniqueName('declined');
    const at = new Date().toISOString();
    await fixture.directory.put({
      ...{ tenant_id: id, plan: 'free', updated_at: at, updated_by: 'test' },
      limit_requests: [
        { id: 'r1', limit: 'minute', wanted: 500, reason: 'launch', state: 'open', created_at: at },
      ],
    });
    const path = `/admin/v1/tenants/${id}/requests/r1/decline`;
    const headers = { 'x-actor': 'robin', 'user-agent': 'tollgate-cli' };
    expect((await fixture.admin(`POST ${path}`, { answer: 'No' }, headers)).status).toBe(200);
    expect(await storedOf(id, 1)).toMatchObject([
      { action: 'limit-request-decline', actor: 'robin', source: 'cli' },
    ]);
  });

  test('lists a change at once, before it is stored, and once after it is stored several times', async () => {
    const id = uniqueName('prompt');
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free' });
    const [prompt] = (await read({ tenant_id: id })).changes;
    expect(prompt).toMatchObject({ action: 'put', source: '' });
    const [stored] = await storedOf(id, 1);
    await store();
    expect(stored).toMatchObject({ id: prompt?.id, source: 'admin-api' });
    expect(await storedOf(id, 1)).toHaveLength(1);
  });

  test('has more entries than a record keeps, paged by a cursor without a gap or a repeat', async () => {
    const id = uniqueName('long');
    const actions = Array.from({ length: 60 }, (_, at) => ({ overrides: { minute: at + 1 } }));
    for (const overrides of actions) await fixture.admin(`PATCH /admin/v1/tenants/${id}`, overrides);
    const all = await storedOf(id, 60);
    const paged: Entry[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page = await read({ tenant_id: id, limit: '7', ...(cursor === '' ? {} : { cursor }) });
      paged.push(...page.changes);
      cursor = page.next_cursor;
    }
    expect(paged.map((entry) => entry.id)).toEqual(all.map((entry) => entry.id));
    expect(paged.map(({ after }) => after)).toEqual(actions.toReversed());
  });

  test('is filtered by actor, action, word and time', async () => {
    const id = uniqueName('filtered');
    const actor = uniqueName('kim');
    const headers = { 'x-actor': actor };
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free' }, headers);
    await fixture.admin(`POST /admin/v1/tenants/${id}/block`, { reason: 'Spam wave' }, headers);
    const [block, put] = await storedOf(id, 2);
    const found = async (query: Record<string, string>): Promise<string[]> =>
      (await read({ actor, ...query })).changes.map((entry) => entry.action);
    expect(await found({})).toEqual(['block', 'put']);
    expect(await found({ action: 'block' })).toEqual(['block']);
    expect(await found({ search: 'sPAM' })).toEqual(['block']);
    expect(await found({ since: block!.at })).toContain('block');
    expect(await found({ until: put!.at })).toEqual([]);
    expect(await found({ actor: uniqueName('other') })).toEqual([]);
  });

  test('has sign-ins of operators, accepted and refused, without the token', async () => {
    const name = uniqueName('robin');
    const token = 'a-wrong-token-0123456789-0123456789';
    expect(await post(fixture, '/operator/sign-in', { name, token })).toMatchObject({ status: 401 });
    const entries = await eventually(async () => {
      await store();
      const { changes } = await read({ action: 'sign-in-refused' });
      const own = changes.filter(({ facts }) => facts?.['stated_name'] === name);
      return own.length === 1 ? own : null;
    });
    // The name is not verified, so the entry is not one of its operator.
    expect(entries[0]).toMatchObject({ actor: 'unknown', source: 'console', tenant_id: '' });
    expect(JSON.stringify(entries)).not.toContain(token);
  });

  test('has sign-outs with the session that they ended, once', async () => {
    const token = 'the-token-of-a-viewer-0123456789';
    const { cookie } = await post(fixture, '/operator/sign-in', { name: '', token });
    await post(fixture, '/operator/sign-out', {}, cookie);
    await post(fixture, '/operator/sign-out', {}, cookie);
    const [entry, ...others] = await eventually(async () => {
      await store();
      const { changes } = await read({ action: 'sign-out' });
      return changes.length > 0 ? changes : null;
    });
    expect(entry).toMatchObject({ actor: 'viewer-operator', source: 'console' });
    expect(entry?.facts?.['session']).toBeTruthy();
    expect(others).toEqual([]);
  });

  test('is a page and a CSV file for operators', async () => {
    const id = uniqueName('shown');
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free' });
    await storedOf(id, 1);
    const { cookie } = await post(fixture, '/operator/sign-in', {
      name: 'robin',
      token: 'the-token-of-a-viewer-0123456789',
    });
    const page = await get(fixture, `/operator/audit?tenant=${id}`, cookie);
    expect(page.text).toContain('+ plan: &quot;free&quot;');
    const file = await get(fixture, `/operator/audit?tenant=${id}&format=csv`, cookie);
    expect(file.text.split('\r\n')[1]).toMatch(new RegExp(`^[0-9TZ:.-]+,admin,${id},put,`));
  });
});
