import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storePolicyRevision } from '../../../../shared/clickhouse/queries/policy/revisions.ts';
import { revisionOf } from '../../../../shared/policy/file/compile.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { runCli } from '../../../../services/cli/cli.ts';
import { storeUsage } from '../../../support/stored-usage.ts';
import { get, getAsScript, post } from '../browser.ts';
import { adminToken, createFixture } from '../fixture.ts';
import type { Fixture } from '../fixture.ts';

let fixture: Fixture;
let folder: string;
let file: string;
let operator: string;
let inForce: string;
const [enforced, inShadow] = [
  '- { name: minute, per: tenant, limit: 100, window: 1m }',
  '- { name: minute, per: tenant, limit: 100, window: 1m, mode: shadow }',
];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-policy-'));
  file = join(folder, 'policy.yaml');
  const before = await readFile('policies/default.yaml', 'utf8');
  inForce = before.replace(enforced, inShadow);
  expect(inForce).not.toBe(before);
  await writeFile(file, inForce);
  fixture = await createFixture({ policyPath: file, policyIsWritable: true });
  const revision = (text: string, at: string) => ({
    ...{ at, revision: revisionOf(text), text, outcome: 'accepted' as const, file, violations: '' },
    ...{ actor: '', reason: '' },
  });
  await storePolicyRevision(fixture.clickhouse, revision(before, '2026-11-01T00:00:00.000Z'));
  await storePolicyRevision(fixture.clickhouse, revision(`${inForce}\n`, '2026-11-02T00:00:00.000Z'));
  await storePolicyRevision(fixture.clickhouse, revision(inForce, '2026-11-03T00:00:00.000Z'));
  const session = await post(fixture, '/operator/sign-in', { token: adminToken, name: 'kim' });
  operator = session.cookie.split(';')[0] ?? '';
}, 60_000);

afterAll(async () => {
  await fixture.dispose();
  await rm(folder, { recursive: true });
});

test('the results of shadow mode name limit, start, requests by day, and the ten tenants with the most', async () => {
  const nowMs = Date.now();
  const prefix = uniqueName('shadow');
  const events = Array.from({ length: 12 }, (_, index) =>
    Array.from({ length: 13 - index }, (__, request) => ({
      ...{ timeMs: nowMs - request * 1_000 - index, tenant: `${prefix}-${index}` },
      ...{ decision: 'shadow_limited' as const, limitedBy: ['minute', 'other'] },
    })),
  ).flat();
  await storeUsage(fixture.clickhouse, [
    ...events,
    {
      timeMs: nowMs - 8 * 86_400_000,
      tenant: `${prefix}-old`,
      decision: 'shadow_limited',
      limitedBy: ['minute'],
    },
    { timeMs: nowMs, tenant: `${prefix}-refused`, decision: 'limited', limitedBy: ['minute'] },
  ]);
  const unread = await get(fixture, '/operator/policy', operator);
  expect(unread.text).not.toContain('part-shadow');
  expect(unread.text).toContain('href="/operator/policy?shadow=1#shadow"');
  const { text } = await get(fixture, '/operator/policy?shadow=1', operator);
  const section = text
    .slice(text.indexOf('part-shadow'), text.indexOf('id="history"'))
    .replaceAll(/\s+/g, ' ');
  expect(section).toContain('since 2 Nov 2026, 00:00:00 UTC');
  expect(section).toContain('90');
  expect(section).toContain(`href="/operator/tenants/${prefix}-9"`);
  expect(section).not.toContain(`${prefix}-10`);
  expect(section).not.toContain(`${prefix}-old`);
  expect(section).not.toContain(`${prefix}-refused`);
  expect(section).toContain('2 further tenants with fewer requests.');
  expect(section).not.toContain('other');
  const [, decision = ''] = /href="(\/operator\/decisions\/[^"]+)"/.exec(section) ?? [];
  expect((await get(fixture, decision, operator)).status).toBe(200);
});

test('the results of shadow mode are the same by the admin API and the command line, from any start', async () => {
  const [tenant, nowMs] = [uniqueName('shadow-api'), Date.now()];
  const event = { tenant, decision: 'shadow_limited' as const, limitedBy: ['minute'] };
  await storeUsage(fixture.clickhouse, [
    ...Array.from({ length: 40 }, () => ({ ...event, timeMs: nowMs - 60_000 })),
    { ...event, timeMs: nowMs - 20 * 86_400_000 },
  ]);
  const read = async (since: string): Promise<{ tenant_id: string; requests: number }[]> => {
    const query = since === '' ? '' : `?${new URLSearchParams({ since }).toString()}`;
    const { status, body } = await fixture.admin(`GET /admin/v1/policy/shadow${query}`);
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        policy_revision: revisionOf(inForce),
        complete_since: null,
        limits: [{ limit_name: 'minute', since: '2026-11-02T00:00:00.000Z', since_is_start: true }],
      },
    });
    return (
      (body as { limits: { by_tenant: { tenant_id: string; requests: number }[] }[] }).limits[0]?.by_tenant ??
      []
    );
  };
  const ago = (days: number): string => new Date(nowMs - days * 86_400_000).toISOString();
  expect(
    await eventually(async () => (await read('')).find((row) => row.tenant_id === tenant)),
  ).toMatchObject({ requests: 40 });
  expect(await read(ago(21))).toContainEqual(expect.objectContaining({ tenant_id: tenant, requests: 41 }));
  for (const since of [ago(40), ago(-1)])
    expect((await fixture.admin(`GET /admin/v1/policy/shadow?since=${since}`)).status).toBe(422);

  const adminUrl = await fixture.adminApp.listen({ host: '127.0.0.1', port: 0 });
  let out = '';
  const unused = (): never => {
    throw new Error('not used');
  };
  const tollgate = (...args: string[]): Promise<number> =>
    runCli({
      ...{ args, kafka: unused, clickhouse: unused, actor: 'kim', nowMs: Date.now(), version: '0' },
      installation: () => Promise.resolve({ adminUrl, adminToken }),
      out: (text) => void (out = text),
      err: (text) => void (out = text),
    });
  expect(await tollgate('policy', 'shadow', '--since', '21d')).toBe(0);
  expect(out).toMatch(/^minute +\d+ +\d+ +since 2026-11-02T00:00:00.000Z$/m);
  expect(out).toMatch(new RegExp(`^${tenant} +41 +[0-9a-f-]{36}$`, 'm'));
  expect(await tollgate('policy', 'shadow', '--json')).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ limits: [{ limit_name: 'minute' }] });
  expect(await tollgate('policy', 'shadow', '--since', 'monday')).toBe(2);
});

test('a refreshed part of the page does not read the revision with which the policy is compared', async () => {
  const part = await getAsScript(
    fixture,
    `/operator/policy?revision=${revisionOf(inForce)}&shadow=1&part=shadow`,
    operator,
  );
  expect(part.status).toBe(200);
  expect(part.text).not.toContain('Text in force');
  const compared = await get(fixture, `/operator/policy?revision=${revisionOf(inForce)}`, operator);
  expect(compared.text).toContain('No difference');
});

test('a policy is put live by the confirmation that all such actions have, for the text and the revision that were seen', async () => {
  const text = `${inForce}# ${'long '.repeat(30_000)}\n`;
  const expected = revisionOf(inForce);
  const live = (form: Record<string, string>) =>
    post(fixture, '/operator/policy/live', { text, expected, ...form }, operator);
  const shown = await live({});
  expect(shown).toMatchObject({ status: 200 });
  expect(shown.text).toMatch(/class="line added"[^#]+# long long/);
  expect(shown.text).toContain(`<code>${revisionOf(text)}</code>`);
  const linked = await get(
    fixture,
    `/operator/policy/live?${new URLSearchParams({ text: inForce, expected }).toString()}`,
    operator,
  );
  expect(linked).toMatchObject({ status: 303, location: '/operator/policy' });
  const wrong = await live({ confirm: 'no', reason: 'because' });
  expect(wrong.status).toBe(422);
  expect(wrong.text).toContain('value="because"');
  expect(await live({ confirm: revisionOf(text), reason: '' })).toMatchObject({ status: 422 });
  for (const confirm of [expected, revisionOf(`${inForce}# another tab\n`)])
    expect(await live({ confirm, reason: 'because' })).toMatchObject({ status: 422 });
  expect(await live({ expected: '0123456789ab' })).toMatchObject({ status: 412 });
  expect(await live({ text: 'version: 1' })).toMatchObject({ status: 422 });
  expect(await readFile(file, 'utf8')).toBe(inForce);
  expect(await live({ confirm: revisionOf(text), reason: 'because' })).toMatchObject({
    status: 303,
    location: '/operator/policy?done=policy-live',
  });
  expect(await readFile(file, 'utf8')).toBe(text);
});
