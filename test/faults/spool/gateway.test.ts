// Goal: a real gateway without disk space or file descriptors keeps running and loses no event of a request that got a
// response. Method: gateway and aggregator under load on a small disk; the responses are compared with ClickHouse.
import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { kafkaAt } from '../../integration/kafka/connection.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { mountTmpfs } from '../disk.ts';
import type { FaultDisk } from '../disk.ts';
import { passing } from '../whole-path/faults.ts';
import { checkInvariants } from '../whole-path/invariants.ts';
import { startLoad, startUpstream } from '../whole-path/load.ts';
import type { Ledger } from '../whole-path/load.ts';

const run = promisify(execFile);
const jwtSecret = randomBytes(32).toString('hex');
const faultMs = process.env['TOLLGATE_FAULTS'] === 'long' ? 8_000 : 2_000;
const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

interface Fixture {
  readonly disk: FaultDisk;
  readonly installation: Installation;
  readonly database: string;
  readonly load: () => Promise<Ledger>;
}

async function createFixture(): Promise<Fixture> {
  const disk = await mountTmpfs();
  const { topicPrefix, database, keyPrefix } = uniqueNamespace();
  const { redisUrl, kafkaBrokers, clickhouseUrl } = servers();
  await ensureTopics(kafkaAt(kafkaBrokers), topicsWith(topicPrefix), { partitions: 3 });
  const upstream = await startUpstream();
  const installation = await startServices(['aggregator', 'gateway'], {
    REDIS_URL: redisUrl,
    KAFKA_BROKERS: kafkaBrokers,
    CLICKHOUSE_URL: clickhouseUrl,
    CLICKHOUSE_DATABASE: database,
    TOLLGATE_TOPIC_PREFIX: topicPrefix,
    TOLLGATE_KEY_PREFIX: keyPrefix,
    TOLLGATE_POLICY: 'policies/default.yaml',
    TOLLGATE_UPSTREAM: upstream.url,
    TOLLGATE_JWT_SECRET: jwtSecret,
    TOLLGATE_SERVICE_TOKEN: randomBytes(16).toString('hex'),
    TOLLGATE_SPOOL_DIR: disk.path,
    LOG_LEVEL: 'warn',
  });
  endings.push(
    () => disk.dispose(),
    () => upstream.close(),
    () => installation.stop(),
  );
  const load = (): Promise<Ledger> =>
    startLoad({
      gatewayUrl: installation.urls.gateway,
      jwtSecret,
      tenants: ['big-a', 'big-b'],
      requestsPerSecond: 150,
    });
  return { disk, installation, database, load };
}

async function readiness({ installation }: Fixture): Promise<{ status: number; text: string }> {
  const response = await fetch(`${installation.service('gateway').opsUrl}/readyz`);
  return { status: response.status, text: await response.text() };
}

/** Waits until ClickHouse has exactly one event for each response of the loads. */
async function allStored({ database }: Fixture, ledgers: readonly Ledger[]): Promise<void> {
  const received = new Map<string, Set<string>>();
  for (const ledger of ledgers)
    for (const [key, ids] of ledger.received)
      received.set(key, new Set([...(received.get(key) ?? []), ...ids]));
  const ledger = {
    ...ledgers[0]!,
    received,
    unanswered: () => ledgers.reduce((sum, one) => sum + one.unanswered(), 0),
  };
  let broken: readonly string[] = [];
  await eventually(
    async () => {
      ({ broken } = await checkInvariants(servers().clickhouseUrl, database, ledger));
      return broken.length === 0;
    },
    { timeoutMs: 60_000, intervalMs: 300 },
  ).catch(() => undefined);
  expect(broken).toEqual([]);
}

test('a disk that stays full until the gateway ends loses no event of a response', async () => {
  const fixture = await createFixture();
  const first = await fixture.load();
  await eventually(() => first.responses() > 100);
  await fixture.disk.inject('full');
  const unready = await eventually(async () => {
    const now = await readiness(fixture);
    return now.text.includes('ENOSPC') ? now : null;
  });
  expect(unready.status).toBe(503);
  const before = first.responses();
  await passing(faultMs);
  await eventually(() => first.responses() > before + 100);
  expect(await fixture.installation.service('gateway').stop()).toBe(0);
  await first.stop();
  await fixture.disk.recover();
  await fixture.installation.service('gateway').restart();
  const second = await fixture.load();
  await eventually(() => second.responses() > 100);
  await second.stop();
  await allStored(fixture, [first, second]);
}, 120_000);

test('a gateway without free file descriptors keeps responding and keeps its spool', async () => {
  const fixture = await createFixture();
  const ledger = await fixture.load();
  await eventually(() => ledger.responses() > 100);
  const pid = fixture.installation.service('gateway').pid();
  const open = readdirSync(`/proc/${pid}/fd`).length;
  const limitTo = (count: number): Promise<unknown> =>
    run('prlimit', ['--pid', String(pid), `--nofile=${count}:`]);
  await limitTo(open - 5);
  const before = ledger.responses();
  await passing(faultMs + 1_000);
  await eventually(() => ledger.responses() > before + 100);
  await limitTo(4_096);
  await eventually(async () => (await readiness(fixture)).status === 200);
  expect(fixture.installation.service('gateway').pid()).toBe(pid);
  await ledger.stop();
  await allStored(fixture, [ledger]);
}, 120_000);
