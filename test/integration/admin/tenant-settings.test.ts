import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../../support/servers.ts';
import { callAdmin } from '../console/call-admin.ts';
import { adminToken, createFixture, operatorTokens } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const asJson = { 'content-type': 'application/json' };
const withoutAmount = {
  id: 'b1',
  limit: 'minute',
  reason: 'launch',
  actor: 'kim',
  starts_at: '2026-11-21T11:00:00Z',
  ends_at: '2099-11-22T11:00:00Z',
};

describe('violations', () => {
  const named: readonly [string, object, string][] = [
    ['a block without an actor', { block: { until: null, reason: 'x', actor: '' } }, 'block.actor'],
    ['a boost without an amount', { boosts: [withoutAmount] }, 'boosts.0'],
    ['a boost with two amounts', { boosts: [{ ...withoutAmount, multiply: 2, set_to: 5 }] }, 'boosts.0'],
    [
      'an end that is not a time',
      { boosts: [{ ...withoutAmount, multiply: 2, ends_at: 'soon' }] },
      'boosts.0.ends_at',
    ],
    ['a limit as text', { overrides: { minute: '500' } }, 'overrides.minute'],
    ['a field of another name', { notifications: { email: [] } }, 'notifications'],
    ['an unknown plan', { plan: 'gold' }, 'plan'],
  ];
  test.each(named)('%s is a 422 that names the field, by PUT and by PATCH', async (_what, body, field) => {
    for (const method of ['PUT', 'PATCH']) {
      const id = uniqueName('named');
      const answer = await fixture.admin(`${method} /admin/v1/tenants/${id}`, body);
      expect(answer.status).toBe(422);
      expect(answer.headers['content-type']).toContain('application/problem+json');
      expect(answer.body['errors']).toEqual([{ field, detail: expect.stringMatching(/\w/) as string }]);
      expect(fixture.directory.get(id)).toBeUndefined();
    }
  });
});

describe('PUT and PATCH', () => {
  test('a PUT removes settings that it does not name, and the history lists them', async () => {
    const id = uniqueName('replaced');
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, {
      plan: 'pro',
      display_name: 'Acme',
      time_zone: 'UTC',
    });
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { notifications: { emails: ['a@b.ch'] } });
    const record = fixture.directory.get(id);
    expect(record).not.toHaveProperty('plan');
    expect(record?.history?.[0]?.detail).toBe(
      'plan: "pro" → none; display_name: "Acme" → none; time_zone: "UTC" → none; notifications changed',
    );
  });

  test('a PATCH changes settings that it names, removes those that it sets to null, and keeps the others', async () => {
    const id = uniqueName('patched');
    const path = `/admin/v1/tenants/${id}`;
    await fixture.admin(`PUT ${path}`, {
      plan: 'pro',
      display_name: 'Acme',
      overrides: { minute: 500, day: 9 },
      notifications: { thresholds: [1], emails: ['a@b.ch'] },
    });
    const patch = { display_name: null, overrides: { day: null }, notifications: { emails: ['c@d.ch'] } };
    const type = { 'content-type': 'application/merge-patch+json', 'x-actor': 'robin' };
    const answer = await fixture.admin(`PATCH ${path}`, patch, type);
    expect(answer.status).toBe(200);
    const { display_name: name, ...kept } = fixture.directory.get(id) ?? {};
    expect(name).toBeUndefined();
    expect(kept).toMatchObject({
      plan: 'pro',
      overrides: { minute: 500 },
      notifications: { thresholds: [1], emails: ['c@d.ch'] },
      updated_by: 'robin',
    });
    expect(kept).toMatchObject({ history: [{ action: 'patch' }, { action: 'put' }] });
  });

  test('a PATCH of an unknown name is refused, also with null', async () => {
    const path = `/admin/v1/tenants/${uniqueName('slip')}`;
    for (const patch of [{ planned: 'pro' }, { planned: null }, { history: null }, { updated_by: 'me' }])
      expect((await fixture.admin(`PATCH ${path}`, patch)).status).toBe(422);
    for (const patch of [[], 'text', 5, null])
      expect((await fixture.admin(`PATCH ${path}`, JSON.stringify(patch) as never, asJson)).status).toBe(422);
  });

  test('If-Match works for PATCH as for PUT: with a list of tags, and with * for any record', async () => {
    const path = `/admin/v1/tenants/${uniqueName('matched')}`;
    const patch = (match: string) => fixture.admin(`PATCH ${path}`, { plan: 'pro' }, { 'if-match': match });
    expect((await patch('*')).status).toBe(412);
    const etag = String((await fixture.admin(`PUT ${path}`, { plan: 'free' })).headers['etag']);
    expect((await patch('"stale"')).status).toBe(412);
    expect((await patch(`W/${etag}`)).status).toBe(412);
    const changed = await patch(`"stale", ${etag}`);
    expect(changed.status).toBe(200);
    expect((await fixture.admin(`GET ${path}`)).headers['etag']).toBe(changed.headers['etag']);
    expect((await patch('*')).status).toBe(200);
  });
});

describe('the token of a request', () => {
  test('a boost has the operator of the token as its actor, whatever name the body states', async () => {
    const id = uniqueName('stated-actor');
    const boost = {
      limit: 'minute',
      multiply: 2,
      ends_at: '2099-11-22T11:00:00Z',
      reason: 'launch',
      actor: 'admin-operator',
    };
    const made = async (token: string) =>
      (await callAdmin(fixture.adminApp, token, `POST /admin/v1/tenants/${id}/boosts`, boost)).body['actor'];
    expect(await made(operatorTokens.support)).toBe('support-operator');
    expect(await made(adminToken)).toBe('admin-operator (admin token)');
  });

  test('only an admin reads webhook secrets and Slack addresses of a record; the entity tag is the same', async () => {
    const id = uniqueName('secrets');
    const secret = 'whsec_0123456789abcdef0123456789abcdef';
    const slack = 'https://hooks.slack.com/services/T0/B0/secret';
    const path = `/admin/v1/tenants/${id}`;
    const notifications = {
      webhooks: [{ url: 'https://example.com/hook', secrets: [secret] }],
      slack: [slack],
    };
    expect((await fixture.admin(`PUT ${path}`, { notifications })).status).toBe(200);
    const read = (token: string) => callAdmin(fixture.adminApp, token, `GET ${path}`);
    const complete = await read(operatorTokens.admin);
    expect(complete.body).toMatchObject({ record: { notifications } });
    for (const token of [operatorTokens.viewer, operatorTokens.support]) {
      const { status, headers, body } = await read(token);
      expect([status, headers['etag']]).toEqual([200, complete.headers['etag']]);
      expect(body).toMatchObject({ record: { tenant_id: id, updated_by: 'admin' } });
      expect(JSON.stringify(body)).not.toMatch(/whsec_|B0\/secret/);
    }
  });
});
