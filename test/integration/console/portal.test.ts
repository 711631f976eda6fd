import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { adminToken, createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { get, post, visit } from './browser.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const hourMs = 3_600_000;

describe('pages', () => {
  test('B4: the usage page shows used and remaining units of each limit', async () => {
    const id = uniqueName('usage');
    await fixture.spend(id, 85);
    const { text, headers } = await get(fixture, '/usage', await visit(fixture, id));
    expect(text).toMatch(/data-slot="used">85</);
    expect(text).toMatch(/data-slot="remaining">15</);
    expect(text).toContain('close to the limit');
    expect(text).toContain('Free plan');
    expect(String(headers['content-security-policy'])).not.toContain('unsafe');
  });

  test('B4: the history has every served and refused request of the period', async () => {
    const id = uniqueName('history');
    const now = Date.now();
    await storeUsage(fixture.clickhouse, [
      ...Array.from({ length: 6 }, (_, at) => ({ timeMs: now - at * hourMs, tenant: id })),
      { timeMs: now - 2 * hourMs, tenant: id, decision: 'limited' as const, limitedBy: ['minute'] },
      { timeMs: now - 10 * 24 * hourMs, tenant: id },
    ]);
    const cookie = await visit(fixture, id);
    const sums = async (span: string, points: number): Promise<readonly number[]> => {
      const { text } = await get(fixture, `/history?span=${span}`, cookie);
      const rows = [...text.matchAll(/<tr data-at[^]*?<\/tr>/g)].map(([row]) =>
        [...row.matchAll(/data-value="(\d+)"/g)].map(([, value]) => Number(value)),
      );
      expect(rows).toHaveLength(points);
      return [0, 1].map((column) => rows.reduce((sum, row) => sum + (row[column] ?? 0), 0));
    };
    expect(await sums('24h', 96)).toEqual([6, 1]);
    expect(await sums('30d', 30)).toEqual([7, 1]);
  });

  test('B4: a limit of one user that refuses is named, with the users that have used the most of it', async () => {
    const id = uniqueName('chatty');
    const env = { TOLLGATE_JWT_SECRET: 'x'.repeat(32), TOLLGATE_SERVICE_TOKEN: 'y'.repeat(32) };
    const { routes } = await loadPolicy('policies/default.yaml', env);
    const limits = routes.find(({ match }) => match === 'POST /agent/chat')?.limits ?? [];
    const call = { tenantId: id, ip: '192.0.2.1', limits, peek: false };
    await eventually(async () => (await fixture.limiter.check({ ...call, userId: 'ada', cost: 10 })).passed);
    await fixture.limiter.check({ ...call, userId: 'grace', cost: 4 });
    await storeUsage(
      fixture.clickhouse,
      ['ada', 'ada', 'grace'].map((user) => ({ timeMs: Date.now() - 1000, tenant: id, user })),
    );
    const cookie = await visit(fixture, id);
    // The first page may be sent before ClickHouse has named the users.
    const text = await eventually(async () => {
      const page = await get(fixture, '/usage', cookie);
      expect(page.text).toContain('data-counter="grace"');
      return page.text;
    });
    expect(text).toMatch(/data-slot="remaining">100</);
    expect(text).toMatch(/Refused now:[^]*?Chat[^]*?ada[^]*?POST \/agent\/chat[^]*?passes in \d+ (s|min)/);
    expect(text).toMatch(/data-counter="ada"[^]*?<strong>10<\/strong> of 10/);
    expect(text).toMatch(/data-counter="grace"[^]*?<strong>4<\/strong> of 10/);
  });

  test('a refusal is explained by limit, window, route and the time at which it would have passed', async () => {
    const id = uniqueName('why');
    await storeUsage(fixture.clickhouse, [
      {
        timeMs: Date.now() - 5000,
        tenant: id,
        decision: 'limited',
        limitedBy: ['chat'],
        route: 'POST /agent/chat',
      },
    ]);
    const cookie = await visit(fixture, id);
    const list = await get(fixture, '/refusals', cookie);
    expect(list.text).toContain(
      'The limit “chat” allows 10 requests in any minute for each user on POST /agent/chat',
    );
    const detail = await get(fixture, /href="(\/refusals\/[0-9a-f-]+)"/.exec(list.text)?.[1] ?? '', cookie);
    expect(detail.status).toBe(200);
    expect(detail.text).toContain('at the latest 1 min later');
  });

  test('without data every page states that and shows no graph', async () => {
    const cookie = await visit(fixture, uniqueName('new'));
    expect((await get(fixture, '/usage', cookie)).text).toContain('No requests yet today');
    expect((await get(fixture, '/usage', cookie)).text).toContain('No requests in the last 24 hours');
    expect((await get(fixture, '/refusals', cookie)).text).toContain('Nothing was refused');
    expect((await get(fixture, '/notifications', cookie)).text).toContain('None yet');
  });

  test('C8: notification settings are saved to the record; a webhook keeps its secret', async () => {
    const id = uniqueName('notify');
    const cookie = await visit(fixture, id);
    const done = { location: '/notifications?done=saved' };
    const save = (path: string, form: [string, string][]) =>
      post(fixture, `/notifications${path}`, form, cookie);
    const add = (channel: string, address: string) =>
      save('/targets', [
        ['channel', channel],
        ['address', address],
      ]);
    const shares: [string, string][] = ['0.8', '1'].map((share) => ['threshold', share]);
    expect(await save('', shares)).toMatchObject(done);
    for (const address of ['dev@example.com', 'ops@example.com', 'ops@example.com'])
      expect(await add('email', address)).toMatchObject(done);
    expect(await add('webhook', 'https://example.com/hook')).toMatchObject(done);
    const saved = fixture.directory.get(id)?.notifications;
    expect(saved).toMatchObject({ thresholds: [0.8, 1], emails: ['dev@example.com', 'ops@example.com'] });
    expect(saved?.webhooks?.[0]?.secrets[0]).toMatch(/^whsec_/);
    await add('webhook', 'https://example.com/hook');
    expect(await save('', shares)).toMatchObject(done);
    expect(fixture.directory.get(id)?.notifications).toEqual(saved);
    const bad = await add('email', 'dev');
    expect(bad.status).toBe(422);
    expect(bad.text).toContain('“dev” is no e-mail address');
    expect(bad.text).toMatch(/value="dev"[^>]*>|aria-invalid="true"/);
    const [target = ''] = /email-[0-9a-f]{16}/.exec(bad.text) ?? [];
    expect(await save('/targets/remove', [['target', target]])).toMatchObject(done);
    expect(fixture.directory.get(id)?.notifications?.emails).toHaveLength(1);
  });

  test('C8: a quota has thresholds of its own, another limit a number of refusals; a save keeps all others', async () => {
    const id = uniqueName('single');
    const kept = { of_another_plan: { refusals: 3 } };
    const at = new Date().toISOString();
    await fixture.directory.put({
      ...{ tenant_id: id, plan: 'free', updated_at: at, updated_by: 'test' },
      notifications: { thresholds: [0.5], limits: kept },
    });
    const cookie = await visit(fixture, id);
    const save = (at: string, refusals: string) =>
      post(fixture, '/notifications/limits', { 'at:day': at, 'refusals:minute': refusals }, cookie);
    expect(await save('70, 92.5', '5')).toMatchObject({ status: 303 });
    expect(fixture.directory.get(id)?.notifications).toEqual({
      thresholds: [0.5],
      limits: { ...kept, day: { thresholds: [0.7, 0.925] }, minute: { refusals: 5 } },
    });
    const { text } = await get(fixture, '/notifications', cookie);
    expect(text).toContain('value="70, 92.5"');
    expect(text).toContain('name="refusals:platform-tenant"');
    for (const [at, refusals] of [
      ['most', '5'],
      ['70', 'some'],
      ['70', '0'],
      ['170', '5'],
    ] as const) {
      const wrong = await save(at, refusals);
      expect([at, refusals, wrong.status]).toEqual([at, refusals, 422]);
      expect(wrong.text).toContain(`value="${at}"`);
      expect(wrong.text).toContain(`value="${refusals}"`);
    }
    expect(await save('none', '')).toMatchObject({ status: 303 });
    expect(fixture.directory.get(id)?.notifications?.limits).toEqual({ ...kept, day: { thresholds: [] } });
    expect(await save('', '')).toMatchObject({ status: 303 });
    expect(fixture.directory.get(id)?.notifications?.limits).toEqual(kept);
  });

  test('C8: a test message needs a target and is requested once', async () => {
    const id = uniqueName('test-message');
    const cookie = await visit(fixture, id);
    expect((await post(fixture, '/notifications/test', {}, cookie)).location).toContain('no-target');
    await post(fixture, '/notifications/targets', { channel: 'email', address: 'dev@example.com' }, cookie);
    expect((await post(fixture, '/notifications/test', {}, cookie)).location).toContain('tested');
    const target = /email-[0-9a-f]{16}/.exec((await get(fixture, '/notifications', cookie)).text)?.[0] ?? '';
    expect((await post(fixture, '/notifications/test', { target }, cookie)).location).toContain('tested-one');
    expect((await post(fixture, '/notifications/test', { target: 'x' }, cookie)).location).toContain(
      'no-target',
    );
    expect(fixture.testMessages.filter((event) => event.tenant_id === id)).toMatchObject([
      { kind: 'test' },
      { kind: 'test', only_target: target },
    ]);
  });

  test('C8: a tenant can send five test messages in ten minutes, to any number of targets', async () => {
    const id = uniqueName('test-messages');
    const cookie = await visit(fixture, id);
    await post(fixture, '/notifications/targets', { channel: 'email', address: 'dev@example.com' }, cookie);
    const answers: string[] = [];
    for (let index = 0; index < 7; index += 1)
      answers.push((await post(fixture, '/notifications/test', {}, cookie)).location);
    expect(answers.filter((location) => location.endsWith('tested'))).toHaveLength(5);
    expect(answers.slice(5).every((location) => location.endsWith('too-many'))).toBe(true);
    expect(fixture.testMessages.filter((event) => event.tenant_id === id)).toHaveLength(5);
  });

  test('text from tenants cannot become markup', async () => {
    const id = uniqueName('<script>alert(1)</script>');
    await fixture.admin(`PUT /admin/v1/tenants/${encodeURIComponent(id)}`, {
      display_name: '"><img src=x onerror=1>',
    });
    const { text } = await get(fixture, '/usage', await visit(fixture, id));
    expect(text).not.toContain('<script>alert');
    expect(text).not.toContain('<img');
  });
});

describe('settings of tenants', () => {
  const operator = async (): Promise<string> => {
    const page = await post(fixture, '/operator/sign-in', { token: adminToken, name: 'kim' });
    return page.cookie.split(';')[0] ?? '';
  };

  test('B11: the longest delay of the slow-down is shown as the policy states it', async () => {
    const { text } = await get(fixture, '/limits', await visit(fixture, uniqueName('slow')));
    expect(text).toMatch(/at most\s+500 ms/);
  });

  test('B12: a boost of a limit that the plan lacks is shown as having no effect', async () => {
    const id = uniqueName('boosted');
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free' });
    const boost = { limit: 'day', multiply: 2, ends_at: '2099-01-01T00:00:00Z', reason: 'launch' };
    await fixture.admin(`POST /admin/v1/tenants/${id}/boosts`, boost);
    const cookie = await visit(fixture, id);
    expect((await get(fixture, '/limits', cookie)).text).not.toContain('no effect');
    await fixture.admin(`PATCH /admin/v1/tenants/${id}`, { plan: 'pro' });
    expect((await get(fixture, '/limits', cookie)).text).toContain('no effect: the plan has no such limit');
    const { text } = await get(fixture, `/operator/tenants/${id}`, await operator());
    expect(text).toContain('no effect: the plan has no such limit');
    // The page of the operator lists limits of requests at once, as the portal does.
    expect(text).toMatch(/Platform.tenant[^]*?at the same time/);
  });

  test('C8: thresholds that the form does not offer are kept, and others can be entered in percent', async () => {
    const id = uniqueName('thresholds');
    await fixture.admin(`PATCH /admin/v1/tenants/${id}`, { notifications: { thresholds: [0.65, 0.8] } });
    const cookie = await visit(fixture, id);
    const { text } = await get(fixture, '/notifications', cookie);
    expect(text).toMatch(/value="0.65"\s+checked/);
    const form: [string, string][] = [...text.matchAll(/value="([\d.]+)"\s+checked/g)].map(
      ([, value = '']): [string, string] => ['threshold', value],
    );
    await post(fixture, '/notifications', [...form, ['other_thresholds', '95, 99.5 %']], cookie);
    expect(fixture.directory.get(id)?.notifications?.thresholds).toEqual([0.65, 0.8, 0.95, 0.995]);
    const wrong = await post(fixture, '/notifications', [...form, ['other_thresholds', 'most']], cookie);
    expect(wrong.status).toBe(422);
    expect(wrong.text).toContain('value="most"');
  });

  const refused = [
    ['boosts', { limit: 'day', how: 'set_to', value: 'x', for: '30d', reason: 'fair' }, 'value'],
    ['block', { for: 'soon', reason: 'abuse' }, 'for'],
    ['plan', { plan: 'free', display_name: 'Rockets', overrides: 'minute 5' }, 'overrides'],
    ['reset', { confirm: 'other', reason: 'ticket 7' }, 'confirm'],
    ['api-keys', { name: 'CI', for: 'x', permission: 'requests' }, 'for'],
  ] as const;
  test.each(refused)(
    'a refused form “%s” keeps all texts and marks the field',
    async (form, fields, wrong) => {
      const id = uniqueName('kept');
      const page = await post(fixture, `/operator/tenants/${id}/${form}`, fields, await operator());
      expect(page.status).toBe(422);
      const markup = new RegExp(`<form[^>]*/${form}"[^]*?</form>`).exec(page.text)?.[0] ?? '';
      for (const [name, value] of Object.entries(fields)) {
        const control = new RegExp(
          `<(input|textarea|select)[^>]*name="${name}"[^]*?(/>|</textarea>|</select>)`,
        );
        const found = control.exec(markup)?.[0] ?? '';
        // A select shows a value only if it is an option.
        if (name !== wrong || !found.startsWith('<select')) expect(found).toContain(value);
        expect(found.includes('aria-invalid="true"'), name).toBe(name === wrong);
      }
      expect(fixture.directory.get(id)).toBeUndefined();
    },
  );

  test('tenants that belong to no customer are in no list', async () => {
    const internal = ['tollgate-heartbeat', 'anonymous'];
    await storeUsage(
      fixture.clickhouse,
      internal.map((tenant) => ({ timeMs: Date.now(), tenant })),
    );
    const cookie = await operator();
    for (const path of ['tenants', 'growth', 'audit'])
      for (const id of internal)
        expect((await get(fixture, `/operator/${path}`, cookie)).text).not.toContain(id);
    expect(JSON.stringify((await fixture.admin('GET /admin/v1/tenants')).body)).not.toContain('heartbeat');
  });
});
