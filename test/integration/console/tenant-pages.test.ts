import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
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
    expect(done.location).toBe('/operator/requests?done=request-approved');
    const answered = (await get(fixture, '/requests', cookie)).text;
    expect(answered).toMatch(/approved[^]*Raised to 300 until[^]*ends by itself in 2 h/);
    expect(answered).toContain('Good luck &lt;b&gt;');
    expect((await get(fixture, '/limits', cookie)).text).toMatch(/raised until/);
    const { body } = await fixture.admin(`GET /admin/v1/tenants/${id}/status`);
    expect(body).toMatchObject({ limits: [{ name: 'minute', limit: 300 }, { name: 'day' }] });
    expect(fixture.directory.get(id)?.history).toMatchObject([
      { action: 'limit-request-approve', actor: 'Robin' },
      { action: 'limit-request', actor: 'the tenant itself' },
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
