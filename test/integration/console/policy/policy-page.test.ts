import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storePolicyRevision } from '../../../../shared/clickhouse/queries/policy/revisions.ts';
import { revisionOf } from '../../../../shared/policy/file/compile.ts';
import { uniqueName } from '../../../support/servers.ts';
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
