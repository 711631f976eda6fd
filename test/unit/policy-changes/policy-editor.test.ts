import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPolicyEditor } from '../../../shared/policy-changes/policy-editor.ts';
import type { PolicyEditor } from '../../../shared/policy-changes/policy-editor.ts';
import { replaceFile } from '../../../shared/policy-changes/write-file.ts';
import type { NewAuditEntry } from '../../../shared/kafka/audit-log.ts';
import { revisionOf } from '../../../shared/policy/file/compile.ts';
import { watchPolicy } from '../../../shared/policy/load.ts';
import type { PolicyWatch } from '../../../shared/policy/load.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { policyEnv, policyText } from '../policy/text.ts';

const limited = (limit: number): string =>
  policyText({ plans: `{ free: { limits: [{ name: minute, per: tenant, limit: ${limit}, window: 1m }] } }` });
const author = { actor: 'ada', source: 'admin-api' } as const;

let folder: string;
let file: string;
let watches: PolicyWatch[];
let entries: NewAuditEntry[];
/** Called while a change is written to the audit trail, between the check and the replacement of the file. */
let onAppend: () => void;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-editor-'));
  file = join(folder, 'policy.yaml');
  writeFileSync(file, limited(1));
  [watches, entries, onAppend] = [[], [], () => undefined];
});

afterEach(async () => {
  for (const watch of watches) await watch.close();
  rmSync(folder, { recursive: true });
});

async function openEditor(env: Readonly<Record<string, string>> = policyEnv): Promise<PolicyEditor> {
  const options = { logger: pino({ level: 'silent' }), registry: new Registry(), pollIntervalMs: 50 };
  const watch = await watchPolicy(file, env, options);
  watches.push(watch);
  const clickhouse = { insert: () => Promise.resolve() };
  const audit = {
    append: (entry: NewAuditEntry) => {
      entries.push(entry);
      onAppend();
      return Promise.resolve();
    },
  };
  return createPolicyEditor({ watch, file, isPermitted: true, env, clickhouse, audit, clock: systemClock });
}

function putLive(editor: PolicyEditor, limit: number): ReturnType<PolicyEditor['putLive']> {
  const expectedRevision = revisionOf(limited(1));
  return editor.putLive({ text: limited(limit), expectedRevision, author, reason: 'more traffic' });
}

test('of several changes of one revision at the same time, one takes effect and the others are rejected', async () => {
  const editor = await openEditor();
  const outcomes = await Promise.all([2, 3, 4].map((limit) => putLive(editor, limit)));
  expect(outcomes.map((outcome) => (outcome.ok ? 'live' : outcome.status))).toEqual(['live', 412, 412]);
  expect(readFileSync(file, 'utf8')).toBe(limited(2));
  expect(entries).toHaveLength(1);
});

test('a change is rejected if another process replaced the file after the revision was compared', async () => {
  const editor = await openEditor();
  onAppend = () => writeFileSync(file, limited(9));
  expect(await putLive(editor, 2)).toMatchObject({ ok: false, status: 412 });
  expect(readFileSync(file, 'utf8')).toBe(limited(9));
  expect(readdirSync(folder), 'no temporary file stays').toEqual(['policy.yaml']);
});

test('processes with the same id replace a file at the same time, and it is never torn', async () => {
  const texts = [2, 3, 4, 5].map((limit) => limited(limit).padEnd(200_000 * limit, '#'));
  await Promise.all(texts.map((text) => replaceFile(file, text, () => Promise.resolve(true))));
  expect(texts).toContain(readFileSync(file, 'utf8'));
  expect(readdirSync(folder)).toEqual(['policy.yaml']);
});

test('a change is in the audit trail before it takes effect, with its operator and reason', async () => {
  const editor = await openEditor();
  let before = '';
  onAppend = () => (before = readFileSync(file, 'utf8'));
  expect(await putLive(editor, 2)).toMatchObject({ ok: true });
  expect(before).toBe(limited(1));
  expect(entries).toEqual([
    expect.objectContaining({
      ...author,
      action: 'policy-live',
      reason: 'more traffic',
      facts: { revision: revisionOf(limited(2)), before: revisionOf(limited(1)) },
    }),
  ]);
});

test('a check shows only administrators whether a variable of the environment is set, and its length', async () => {
  const editor = await openEditor({ ...policyEnv, SHORT: 'secret' });
  for (const variable of ['SHORT', 'MISSING']) {
    const text = policyText({ services: `[{ name: jobs, token_env: ${variable} }]` });
    expect(editor.check(text)).toMatchObject({ valid: true });
    expect(editor.check(text, 'required')).toMatchObject({ valid: false });
  }
});
