import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchPolicy } from '../../../shared/policy/load.ts';
import type { PolicyWatch } from '../../../shared/policy/load.ts';
import { policyEnv, policyText } from './text.ts';

const limited = (limit: number): string =>
  policyText({ plans: `{ free: { limits: [{ name: minute, per: tenant, limit: ${limit}, window: 1m }] } }` });

let folder: string;
let path: string;
let registry: Registry;
let watch: PolicyWatch;
const lines: string[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tollgate-policy-'));
  path = join(folder, 'policy.yaml');
  writeFileSync(path, limited(1));
  registry = new Registry();
  lines.length = 0;
  const logger = pino({}, { write: (line: string) => void lines.push(line) });
  watch = await watchPolicy(path, policyEnv, { logger, registry, pollIntervalMs: 200 });
});

afterEach(async () => {
  await watch.close();
  rmSync(folder, { recursive: true });
});

const current = (): number | undefined => watch.current().plans.get('free')?.limits[0]?.limit;
const until = { timeout: 20_000, interval: 20 };

async function reloads(result: string): Promise<number> {
  const values = (await registry.getSingleMetric('tollgate_policy_reloads_total')?.get())?.values ?? [];
  return values.find(({ labels }) => labels['result'] === result)?.value ?? 0;
}

test('an edit takes effect without a restart, and listeners hear of it', async () => {
  const heard: string[] = [];
  watch.onChange((policy) => heard.push(policy.revision));
  writeFileSync(path, limited(2));
  await vi.waitUntil(() => current() === 2, until);
  expect(heard).toEqual([watch.current().revision]);
  expect(await reloads('accepted')).toBe(1);
});

test('an editor that replaces the file by renaming is followed, again and again', async () => {
  for (const limit of [2, 3, 4]) {
    writeFileSync(join(folder, '.policy.swp'), limited(limit));
    renameSync(join(folder, '.policy.swp'), path);
    await vi.waitUntil(() => current() === limit, until);
  }
});

test('an edit between the first read of the file and the start of the watch takes effect', async () => {
  const identity = '{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id } }';
  writeFileSync(path, policyText({ identity }));
  const env = {
    // The secret is read when the policy is compiled, after the first read of the file.
    get TOLLGATE_JWT_SECRET() {
      writeFileSync(path, limited(7));
      return policyEnv.TOLLGATE_JWT_SECRET;
    },
  };
  const options = { logger: pino({ level: 'silent' }), registry: new Registry() };
  const early = await watchPolicy(path, env, options);
  await early.close();
  expect(early.current().plans.get('free')?.limits[0]?.limit).toBe(7);
});

test('a bad edit is refused, logged with its line and counted once, and the running policy stays', async () => {
  writeFileSync(path, limited(-1));
  await vi.waitUntil(async () => (await reloads('refused')) === 1, until);
  expect(current()).toBe(1);
  expect(lines.join('')).toMatch(/policy edit refused.*:4:.*limit: is -1/);
  writeFileSync(path, limited(5));
  await vi.waitUntil(() => current() === 5, until);
  expect(await reloads('refused')).toBe(1);
});

test('a file that vanishes leaves the running policy in place, and is followed again when it is back', async () => {
  rmSync(path);
  await vi.waitUntil(async () => (await reloads('refused')) > 0, until);
  expect(current()).toBe(1);
  writeFileSync(path, limited(6));
  await vi.waitUntil(() => current() === 6, until);
});

test('without a good policy to begin with nothing starts', async () => {
  const bad = join(folder, 'bad.yaml');
  writeFileSync(bad, 'version: 1\n');
  const options = { logger: pino({ level: 'silent' }), registry: new Registry() };
  await expect(watchPolicy(bad, policyEnv, options)).rejects.toMatchObject({ code: 'POLICY_INVALID' });
});
