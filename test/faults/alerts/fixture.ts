import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { shortenedTiming } from '../../../dashboards/alerts/timing.ts';
import {
  alertmanagerConfig,
  prometheusConfig,
  prometheusRules,
} from '../../../dashboards/alerts/prometheus.ts';
import { builtDashboards, panelIdsOf } from '../../../dashboards/render.ts';
import { loopback } from '../../../dashboards/settings.ts';
import { needProgram } from '../../../dev/packages.ts';
import { startAlertmanagerServer, startPrometheusServer } from '../../../dev/servers/prometheus.ts';
import type { RunningMonitor } from '../../../dev/servers/prometheus.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, startClickHouse, startKafka, startRedis } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation } from '../../support/services.ts';
import { createSettableClock } from '../clocks/set-clock.ts';
import type { SettableClock } from '../clocks/set-clock.ts';
import { startProxy } from '../redis/proxy.ts';
import type { Proxy } from '../redis/proxy.ts';
import type { FaultDisk } from '../disk.ts';
import { startOnCall } from './on-call.ts';
import type { OnCall } from './on-call.ts';
import { serviceNames } from '../../../dev/stack/services.ts';

/** An installation with monitoring: two gateways, all other services, Prometheus, Alertmanager and its receiver. */
export interface AlertFixture {
  readonly run: PolicyRun;
  /** A second gateway, which reaches Redis through `path`. */
  readonly second: Installation;
  /** The file system with the spool of the second gateway; null if it is that of the system. */
  readonly secondDisk: FaultDisk | null;
  readonly path: Proxy;
  readonly redis: Awaited<ReturnType<typeof startRedis>>;
  readonly redisClock: SettableClock;
  readonly gatewayClock: SettableClock;
  readonly kafka: Awaited<ReturnType<typeof startKafka>>;
  readonly clickhouse: Awaited<ReturnType<typeof startClickHouse>>;
  readonly onCall: OnCall;
  /** Names of the alerts that fire now, according to Prometheus. */
  firing(): Promise<string[]>;
  /** Restarts services that have stopped, as a process manager does. */
  restartEnded(): Promise<void>;
  stop(): Promise<void>;
}

const policyText = `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: [tenant_id], user: sub, plan: tier }
  anonymous: ip
quantities: { tokens: {} }
default_plan: large
plans:
  tight: { limits: [{ name: minute, per: tenant, limit: 20, window: 1m }] }
  small: { limits: [{ name: day, per: tenant, limit: 10, window: 1d, type: quota }] }
  large:
    limits:
      - { name: day, per: tenant, limit: 1000000, window: 1d, type: quota }
      - { name: tokens, of: tokens, per: tenant, limit: 1000000, window: 1d, type: quota }
routes: [{ match: POST /bulk, cost: 600 }]
services: [{ name: internal, token_env: TOLLGATE_SERVICE_TOKEN }]
alerts: { thresholds: [0.9] }
`;

/**
 * Starts the services on separate servers. Rules, routes and thresholds are as generated, with intervals divided by
 * `times`.
 */
export async function startAlertFixture(times: number, secondDisk: FaultDisk | null): Promise<AlertFixture> {
  const [redisClock, gatewayClock] = [await createSettableClock(), await createSettableClock()];
  const [redis, kafka, clickhouse, onCall] = await Promise.all([
    startRedis({ env: redisClock.env }),
    startKafka(),
    startClickHouse(),
    startOnCall(),
  ]);
  const run = await runPolicy('default', {
    services: serviceNames,
    edit: () => policyText,
    envOf: { gateway: gatewayClock.env },
    servers: { redisUrl: redis.url, kafkaBrokers: kafka.brokers, clickhouseUrl: clickhouse.url },
    env: {
      TOLLGATE_HEARTBEAT_MS: '1000',
      TOLLGATE_REDIS_TIMEOUT_MS: '200',
      TOLLGATE_AUDIT_INTERVAL_MS: '1000',
      TOLLGATE_WEBHOOK_ALLOW_PRIVATE: 'true',
      TOLLGATE_WEBHOOK_ATTEMPTS_MAX: '2',
      TOLLGATE_WEBHOOK_RETRY_MS: '50',
    },
  });
  const path = await startProxy(redis.port);
  const second = await startServices(['gateway'], {
    ...run.installation.env,
    REDIS_URL: path.url,
    TOLLGATE_NODE: `${run.installation.env['TOLLGATE_NODE'] ?? ''}-second`,
    TOLLGATE_SPOOL_DIR:
      secondDisk === null ? await mkdtemp(join(tmpdir(), 'tollgate-spool-')) : join(secondDisk.path, 'spool'),
  });
  await firstHeartbeat(run);
  const monitors = await startMonitors(times, { run, second, onCall });
  return {
    ...{ run, second, secondDisk, path, redis, redisClock, gatewayClock, kafka, clickhouse, onCall },
    firing: () => firingOf(monitors.prometheus),
    restartEnded: () => restartEnded(run.installation),
    stop: async () => {
      await monitors.stop();
      await Promise.all([second.stop(), run.stop()]);
      path.close();
      onCall.close();
      redisClock.dispose();
      gatewayClock.dispose();
      await Promise.all([redis.dispose(), kafka.dispose(), clickhouse.dispose(), secondDisk?.dispose()]);
    },
  };
}

/** Waits for the first heartbeat, because the alert on a missing heartbeat fires before it. */
async function firstHeartbeat(run: PolicyRun): Promise<void> {
  await eventually(
    async () => {
      const metrics = await (await fetch(`${run.installation.service('alerter').opsUrl}/metrics`)).text();
      return /^tollgate_heartbeat_last_success_timestamp_seconds\{[^}]*\} [1-9]/m.test(metrics);
    },
    { timeoutMs: 30_000 },
  );
}

async function startMonitors(
  times: number,
  { run, second, onCall }: Pick<AlertFixture, 'run' | 'second' | 'onCall'>,
): Promise<{ prometheus: RunningMonitor; stop: () => Promise<void> }> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const timing = shortenedTiming(times);
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-alerts-'));
  const urls = { onCallUrl: `${onCall.url}/on-call`, teamUrl: `${onCall.url}/team` };
  const alertmanager = await startAlertmanagerServer({
    command: await needProgram('prometheus-alertmanager', say),
    dir: join(dir, 'alertmanager'),
    config: stringify(alertmanagerConfig(urls, timing)),
  });
  const host = (url: string): string => new URL(url).host;
  const scraped: [string, string][] = serviceNames.map((name) => [
    name,
    host(run.installation.service(name).opsUrl),
  ]);
  const place = {
    ...loopback,
    alertmanager: host(alertmanager.url),
    services: Object.fromEntries([...scraped, ['gateway-second', host(second.service('gateway').opsUrl)]]),
  };
  const prometheus = await startPrometheusServer({
    command: await needProgram('prometheus', say),
    dir: join(dir, 'prometheus'),
    config: stringify(prometheusConfig(place, timing)),
    files: { 'rules.yml': stringify(prometheusRules(alertRules, panelIdsOf(builtDashboards()), timing)) },
  });
  await firstScrapes(prometheus, Object.keys(place.services).length);
  return {
    prometheus,
    stop: async () => {
      await Promise.all([prometheus.stop(), alertmanager.stop()]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Waits until every target was scraped: `increase()` does not count a rise before the first scrape. */
async function firstScrapes({ url }: RunningMonitor, targets: number): Promise<void> {
  await eventually(
    async () => {
      const query = encodeURIComponent('count(up{job=~"tollgate-.*"} == 1)');
      const answer = await (await fetch(`${url}/api/v1/query?query=${query}`)).text();
      return answer.includes(`"${targets}"]`);
    },
    { timeoutMs: 30_000 },
  );
}

async function firingOf({ url }: RunningMonitor): Promise<string[]> {
  const answer = (await (await fetch(`${url}/api/v1/alerts`)).json()) as {
    readonly data: {
      readonly alerts: readonly { readonly state: string; readonly labels: { readonly alertname: string } }[];
    };
  };
  return answer.data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname);
}

async function restartEnded(installation: Installation): Promise<void> {
  for (const name of serviceNames) {
    const service = installation.service(name);
    const alive = await fetch(`${service.opsUrl}/healthz`).then(
      () => true,
      () => false,
    );
    if (!alive) await service.restart();
  }
}
