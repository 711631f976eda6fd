/**
 * Goal: the upgrade that docs/deploy.md describes, and the way back, lose no event, count none twice, and fail no request. Method:
 * all services of the previous version run under traffic with two gateways; each process is replaced in the documented order, two of
 * them go back and forth once more. Then responses are compared with stored events, totals and counters.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TollgateClient } from '../../packages/client/client.ts';
import type { Limit } from '../../packages/client/client.ts';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { startUpstream } from '../faults/whole-path/load.ts';
import { checkInvariants } from '../faults/whole-path/invariants.ts';
import { eventually, servers, uniqueNamespace } from '../support/servers.ts';
import { startServices } from '../support/services.ts';
import type { Installation, RunningService } from '../support/services.ts';
import { checkOutPrevious, repository } from './previous-checkout.ts';
import type { PreviousCheckout } from './previous-checkout.ts';
import { startTraffic } from './traffic.ts';

const run = promisify(execFile);
const tenants = ['free-a', 'big-a', 'big-b'];
const appTenant = 'big-app';
const quota = 1_000_000;
const policy = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [tenant_id], user: sub, plan: tier }
  anonymous: reject
quantities: { tokens: { sum: [input_tokens, output_tokens] } }
default_plan: big
plans:
  free: { limits: [{ name: minute, per: tenant, limit: 20, window: 1m }] }
  big:
    limits:
      - { name: day, per: tenant, limit: ${quota}, window: 1d, type: quota }
      - { name: tokens, of: tokens, per: tenant, limit: ${quota}, window: 1d, type: quota }
platform: { limits: [{ name: platform, per: global, type: concurrent, limit: 1000 }] }
services: [{ name: app, token_env: TOLLGATE_SERVICE_TOKEN }]
`;

let previous: PreviousCheckout;
let dir: string;
let upstream: Awaited<ReturnType<typeof startUpstream>>;

beforeAll(async () => {
  previous = await checkOutPrevious();
  dir = await mkdtemp(join(tmpdir(), 'tollgate-upgrade-'));
  await writeFile(join(dir, 'policy.yaml'), policy);
  upstream = await startUpstream();
});
afterAll(async () => {
  upstream.close();
  await Promise.all([previous.remove(), rm(dir, { recursive: true, force: true })]);
});

function environment(): Record<string, string> {
  const { redisUrl, kafkaBrokers, clickhouseUrl } = servers();
  const { topicPrefix, database, keyPrefix } = uniqueNamespace();
  const secret = (): string => randomBytes(24).toString('hex');
  return {
    REDIS_URL: redisUrl,
    KAFKA_BROKERS: kafkaBrokers,
    CLICKHOUSE_URL: clickhouseUrl,
    CLICKHOUSE_DATABASE: database,
    TOLLGATE_TOPIC_PREFIX: topicPrefix,
    TOLLGATE_KEY_PREFIX: keyPrefix,
    TOLLGATE_POLICY: join(dir, 'policy.yaml'),
    TOLLGATE_UPSTREAM: upstream.url,
    // On a busy machine a call to Redis may be late. A shorter timeout would cause decisions without Redis.
    TOLLGATE_REDIS_TIMEOUT_MS: '2000',
    TOLLGATE_JWT_SECRET: secret(),
    TOLLGATE_SERVICE_TOKEN: secret(),
    TOLLGATE_ADMIN_TOKEN: secret(),
    TOLLGATE_PORTAL_SECRET: secret(),
    LOG_LEVEL: 'warn',
  };
}

/** Runs a command of the CLI of a version. */
async function tollgate(
  version: string,
  env: Readonly<Record<string, string>>,
  ...args: string[]
): Promise<string> {
  const { stdout } = await run(process.execPath, ['services/cli/main.ts', ...args], {
    cwd: version,
    env: { PATH: process.env['PATH'], ...env },
  });
  return stdout;
}

async function prepare(version: string, env: Readonly<Record<string, string>>): Promise<void> {
  await tollgate(version, env, 'topics', 'create', '--partitions', '3', '--replication-factor', '1');
  await tollgate(version, env, 'tables', 'create');
}

/** Stops a process as an orchestrator does, and starts it with the code of another version. */
async function replace(service: RunningService, version: string): Promise<void> {
  expect(await service.stop(), service.log()).toBe(0);
  service.useCheckout(version);
  await service.restart();
}

test('each service can be replaced by the next version and go back: nothing is lost, counted twice or refused', async () => {
  const env = environment();
  await prepare(previous.dir, env);
  const names = ['aggregator', 'reconciler', 'alerter', 'admin', 'console', 'gateway'] as const;
  const one = await startServices(names, { ...env, TOLLGATE_NODE: 'one' }, {}, previous.dir);
  const two = await startServices(['gateway'], { ...env, TOLLGATE_NODE: 'two' }, {}, previous.dir);
  try {
    await upgrade(one, two, env);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
}, 600_000);

async function upgrade(one: Installation, two: Installation, env: Record<string, string>): Promise<void> {
  const cli = { ...env, TOLLGATE_ADMIN_URL: one.urls.admin };
  const traffic = await startTraffic({
    gateways: [one.urls, two.urls],
    jwtSecret: env['TOLLGATE_JWT_SECRET'] ?? '',
    serviceToken: env['TOLLGATE_SERVICE_TOKEN'] ?? '',
    ...{ tenants, appTenant },
  });
  const boost = ['boost', 'big-a', '--limit', 'day', '--multiply', '2', '--for', '1d', '--reason', 'upgrade'];
  await tollgate(previous.dir, cli, ...boost);
  await traffic.turn();
  await prepare(repository, env);
  await traffic.turn();
  for (const name of ['aggregator', 'reconciler', 'alerter', 'admin', 'console'] as const) {
    await replace(one.service(name), repository);
    await traffic.turn();
  }
  for (const gateway of [one.service('gateway'), two.service('gateway')]) {
    await replace(gateway, repository);
    await traffic.turn();
  }
  for (const version of [previous.dir, repository]) {
    for (const service of [one.service('aggregator'), two.service('gateway')]) {
      await replace(service, version);
      await traffic.turn();
    }
  }
  await traffic.stop();
  await checkResult(traffic, cli, [one, two]);
}

async function checkResult(
  traffic: Awaited<ReturnType<typeof startTraffic>>,
  cli: Record<string, string>,
  installations: readonly Installation[],
): Promise<void> {
  expect(traffic.failures).toEqual([]);
  expect(traffic.ledger.strange()).toEqual([]);
  const [url, database] = [servers().clickhouseUrl, cli['CLICKHOUSE_DATABASE'] ?? ''];
  const clickhouse = createClickHouse({ url, database });
  try {
    await eventually(
      async () => {
        // A settlement can overtake the event of its call, if another gateway has the event and is being replaced.
        const since = ['--reason', 'does not exist', '--since', '1h', '--yes'];
        await tollgate(repository, cli, 'dead-letters', 'replay', ...since);
        expect((await checkInvariants(url, database, traffic.ledger)).broken).toEqual([]);
        const rows = await clickhouse.query(
          `SELECT countIf(type = 'tokens.used') AS published, sumIf(units, type = 'tokens.used') AS units,
            sum(u.quantities['tokens']) AS tokens, countIf(reservation = 'open') AS open
          FROM usage_events AS u WHERE tenant_id = {tenant:String}`,
          { tenant: appTenant },
        );
        const published = traffic.published();
        expect(rows).toEqual([{ published, units: 2 * published, tokens: traffic.tokens(), open: 0 }]);
        return true;
      },
      { timeoutMs: 60_000, intervalMs: 2_000 },
    );
    for (const { urls } of installations) {
      const { limit, remaining } = await limitOf(urls.api, cli, appTenant, 'tokens');
      expect(Number(limit) - Number(remaining)).toBe(traffic.tokens());
      // A record that the previous version wrote.
      expect(await limitOf(urls.api, cli, 'big-a', 'day')).toMatchObject({ limit: 2 * quota });
    }
    console.log(`${traffic.ledger.responses()} responses, ${traffic.ledger.unanswered()} without a response`);
    expect(await tollgate(repository, cli, 'audit', '--hours', '1')).toContain(
      'No event is lost.\nAll totals agree with the events.',
    );
  } finally {
    await clickhouse.command(`DROP DATABASE ${database} SYNC`);
    await clickhouse.close();
  }
}

/** The state of one limit of a tenant. */
async function limitOf(
  api: string,
  cli: Readonly<Record<string, string>>,
  tenant: string,
  name: string,
): Promise<Limit> {
  const client = new TollgateClient({
    url: api,
    token: cli['TOLLGATE_SERVICE_TOKEN'] ?? '',
    onFailure: 'closed',
  });
  const { limits } = await client.usage({ tenant_id: tenant });
  const found = limits.find((limit) => limit.name === name);
  if (found === undefined) throw new Error(`${tenant} has no limit ${name}`);
  return found;
}
