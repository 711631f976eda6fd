import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { installPrograms } from '../../../dev/packages.ts';
import { sampleRecord, sampleTenants, withSampleKey } from '../../../dev/sample/tenants.ts';
import { commandsToPaste } from '../../../dev/stack/greeting/greeting.ts';
import { neededPrograms } from '../../../dev/stack/needed-programs.ts';
import { loadSecrets } from '../../../dev/stack/secrets.ts';
import type { Secrets } from '../../../dev/stack/secrets.ts';
import { stackTenants } from '../../../dev/stack/stack-file.ts';

const now = new Date('2026-11-26T12:00:00Z');
const tenant = sampleTenants[0]!;

afterEach(() => {
  vi.restoreAllMocks();
});

async function newSecrets(): Promise<Secrets> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-secrets-'));
  const secrets = await loadSecrets(
    join(dir, 'secrets.json'),
    sampleTenants.map(({ tenantId }) => tenantId),
  );
  await rm(dir, { recursive: true });
  return secrets;
}

const hashOf = ({ apiKeys }: Secrets): string =>
  createHash('sha256').update(apiKeys[tenant.tenantId]!).digest('hex');

test('a record keeps its sample key and other settings; a record without the key gets it', async () => {
  const [first, second] = [await newSecrets(), await newSecrets()];
  const record = { ...sampleRecord(tenant, first, now), overrides: { minute: 7 } };
  expect(withSampleKey(record, tenant, first, now)).toBeNull();
  const mended = withSampleKey(record, tenant, second, now);
  expect(mended?.overrides).toEqual({ minute: 7 });
  expect(mended?.api_keys_sha256).toEqual([hashOf(first), hashOf(second)]);
});

test('a sample key that has expired is valid again', async () => {
  const secrets = await newSecrets();
  const expired = { sha256: hashOf(secrets), expires_at: '2026-01-01T00:00:00Z' };
  const other = { sha256: 'a'.repeat(64), name: 'CI' };
  const record = { ...sampleRecord(tenant, secrets, now), api_keys: [expired, other] };
  const mended = withSampleKey(record, tenant, secrets, now);
  expect(mended?.api_keys).toEqual([other]);
  expect(mended?.api_keys_sha256).toEqual([hashOf(secrets)]);
});

test('a user who may not install programs sees all missing programs in one message', async () => {
  vi.spyOn(process, 'getuid').mockReturnValue(1000);
  vi.stubEnv('PATH', '/nonexistent');
  try {
    const programs = await neededPrograms({ redis: 'native', kafka: 'native', clickhouse: 'native' }, () =>
      Promise.resolve(false),
    );
    expect(programs).toEqual(['redis-server', 'java', 'mvn']);
    const absent = ['kcat', 'chromium', 'caddy'] as const;
    // Programs outside PATH that this machine has in /usr/sbin are found; these three are never there.
    await expect(installPrograms(absent, () => undefined)).rejects.toThrow(
      /^kcat, chromium, caddy: not installed\.\n.*kcat chromium caddy$/,
    );
  } finally {
    vi.unstubAllEnvs();
  }
});

test('a server in a container or elsewhere needs no program of this machine', async () => {
  const none = () => Promise.resolve(false);
  expect(
    await neededPrograms({ redis: 'external', kafka: 'containers', clickhouse: 'native' }, none),
  ).toEqual([]);
  expect(
    await neededPrograms({ redis: 'external', kafka: 'native', clickhouse: 'native' }, () =>
      Promise.resolve(true),
    ),
  ).toEqual(['java']);
});

test('the printed commands are short, because tokens come from files', async () => {
  const secrets = await newSecrets();
  const tenants = await stackTenants(secrets);
  const urls = Object.fromEntries(
    ['gateway', 'api', 'admin', 'clickhouse'].map((name) => [name, 'http://127.0.0.1:12345']),
  );
  const stack = {
    urls,
    links: { portal: '', operator: '' },
    admin_token: secrets.adminToken,
    service_token: secrets.serviceToken,
    tenants,
    pids: {},
  };
  const lines = commandsToPaste({ stack, headersDir: '/home/user/tollgate/.local/headers' });
  for (const line of lines) expect(line.length, line).toBeLessThan(250);
  expect(lines.join('\n')).not.toContain(secrets.adminToken);
});
