import { join } from 'node:path';
import { tailOf } from '../servers/server-process.ts';
import type { ServerProcess } from '../servers/server-process.ts';
import { sampleTenants } from '../sample/tenants.ts';
import { allOrNone } from '../servers/all-or-none.ts';
import { warmCompileCache } from './compile-cache.ts';
import { containerEngineAnswers } from '../servers/container-engine.ts';
import { choosePorts, movedPorts, preferredPorts } from './ports.ts';
import type { Ports } from './ports.ts';
import type { Progress } from './progress.ts';
import { monitorAddress, monitors } from './monitoring.ts';
import { messageOf } from '../../shared/runtime/errors.ts';
import { chooseProviders } from './providers.ts';
import { loadSecrets } from './secrets.ts';
import type { Secrets } from './secrets.ts';
import { seed } from './seed.ts';
import { startStackServers } from './servers.ts';
import { serviceEnvironment } from './service-environment.ts';
import { serviceNames, startNodeProcess } from './services.ts';
import type { ServiceName } from './services.ts';
import { removeStackFile, stackTenants, writeStackFile } from './stack-file.ts';
import type { StackFile } from './stack-file.ts';

export interface StackOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly localDir: string;
  readonly traffic: boolean;
  readonly progress: Progress;
  /** Aborts the start. */
  readonly signal: AbortSignal;
  /**
   * Registers the function that stops a process. Functions run in reverse order of registration; consecutive
   * functions of the same group run concurrently.
   */
  readonly onClose: (closer: Closer) => void;
  /** Called if a process of the stack ends unexpectedly, with the last lines of its log. */
  readonly onDeath: (name: string, log: string) => void;
}

export interface Closer {
  readonly group: 'lock' | 'servers' | 'upstream' | 'services' | 'file' | 'watchers';
  readonly name: string;
  readonly close: () => Promise<void>;
}

export interface RunningStack {
  readonly file: StackFile;
  readonly path: string;
  readonly movedPorts: readonly string[];
  /** Monitoring programs that do not run, with the consequence. */
  readonly missingMonitors: readonly string[];
}

/**
 * Starts the servers; creates tables, topics and tenants; starts the sample API and the services; writes
 * `stack.json`; starts Prometheus and the sample traffic. Each started process is registered with `onClose`, even if
 * this function throws later.
 */
export async function runStack(options: StackOptions): Promise<RunningStack> {
  const { env, localDir, progress } = options;
  const path = join(localDir, 'stack.json');
  await removeStackFile(path);
  const providers = await chooseProviders(env, () => containerEngineAnswers(env));
  const secrets = await loadSecrets(
    join(localDir, 'secrets.json'),
    sampleTenants.map(({ tenantId }) => tenantId),
  );
  const pids: Record<string, number> = {};
  const servers = await startStackServers({
    ...options,
    providers,
    onStarted: (server) => {
      if (server.pid !== null) pids[server.name] = server.pid;
      options.onClose({ group: 'servers', name: server.name, close: () => server.stop() });
      void server.exited.then(() => report(options, server.name, server.logFile));
    },
  });
  const addresses = {
    redis: servers.redis.address,
    kafka: servers.kafka.address,
    clickhouse: servers.clickhouse.address,
  };
  const clickhouse = {
    url: addresses.clickhouse,
    database: env['CLICKHOUSE_DATABASE'] ?? 'tollgate',
    username: env['CLICKHOUSE_USER'] ?? 'default',
    password: env['CLICKHOUSE_PASSWORD'] ?? '',
  };
  const topicPrefix = env['TOLLGATE_TOPIC_PREFIX'] ?? 'tollgate.';
  await seed({ clickhouse, kafkaBrokers: addresses.kafka, topicPrefix, secrets, progress });
  options.signal.throwIfAborted();

  const ports = await choosePorts();
  await startServices(options, { secrets, ports, addresses, pids });
  const { urls: monitorUrls, missing } = await startMonitors(options, ports, pids);
  const file: StackFile = {
    urls: { ...urlsOf(ports), ...addresses, ...monitorUrls },
    admin_token: secrets.adminToken,
    service_token: secrets.serviceToken,
    tenants: await stackTenants(secrets),
    pids,
  };
  options.onClose({ group: 'file', name: 'stack.json', close: () => removeStackFile(path) });
  await writeStackFile(path, file);
  if (options.traffic) {
    await watched(options, pids, 'traffic', () =>
      scriptProcess(options, 'traffic', 'dev/sample/traffic.ts', { STACK_FILE: path }),
    );
    await writeStackFile(path, file);
  }
  options.onClose({ group: 'watchers', name: 'compile cache', close: warmCompileCache(localDir) });
  return { file, path, movedPorts: movedPorts(ports), missingMonitors: missing };
}

interface ServicesPlan {
  readonly secrets: Secrets;
  readonly ports: Ports;
  readonly addresses: Readonly<Record<'redis' | 'kafka' | 'clickhouse', string>>;
  readonly pids: Record<string, number>;
}

/** Starts the sample API, then all services concurrently. */
async function startServices(options: StackOptions, plan: ServicesPlan): Promise<void> {
  const { ports, pids } = plan;
  const failure = new AbortController();
  const abortable = { ...options, signal: AbortSignal.any([options.signal, failure.signal]) };
  const upstream = (): Promise<{ server: ServerProcess }> =>
    scriptProcess(
      abortable,
      'upstream',
      'dev/sample/upstream.ts',
      { PORT: String(ports.upstream) },
      `${at(ports.upstream)}/health`,
    );
  const service = (name: ServiceName) => async (): Promise<{ server: ServerProcess }> => {
    const env = serviceEnvironment(name, { ...plan, localDir: options.localDir, env: options.env });
    return scriptProcess(
      abortable,
      name,
      `services/${name}/main.ts`,
      env,
      `${at(opsPort(name, ports))}/readyz`,
    );
  };
  await watched(abortable, pids, 'upstream', upstream);
  await allOrNone<unknown[]>(
    failure,
    serviceNames.map((name) => watched(abortable, pids, name, service(name))),
  );
}

/** Starts a process, reports its progress, and registers functions for its stop and for its unexpected end. */
async function watched<Started extends { readonly server: ServerProcess } | null>(
  options: StackOptions,
  pids: Record<string, number>,
  name: string,
  start: () => Promise<Started>,
): Promise<Started> {
  const started = await options.progress.step(name, start);
  if (started === null) return started;
  const { server } = started;
  pids[name] = server.pid;
  options.onClose({ group: groupOf(name), name, close: () => server.stop() });
  void server.exited.then(() => report(options, name, server.logFile));
  return started;
}

function groupOf(name: string): Closer['group'] {
  if (name === 'upstream') return 'upstream';
  return serviceNames.some((service) => service === name) ? 'services' : 'watchers';
}

async function report(options: StackOptions, name: string, logFile: string | null): Promise<void> {
  options.onDeath(name, logFile === null ? '' : await tailOf(logFile));
}

async function scriptProcess(
  { localDir, signal }: StackOptions,
  name: string,
  script: string,
  env: Readonly<Record<string, string>>,
  readyUrl: string | null = null,
): Promise<{ server: ServerProcess }> {
  return { server: await startNodeProcess({ name, script, env, readyUrl, localDir, signal }) };
}

/**
 * Starts the monitoring programs that are installed, and returns their URLs. Receivers of alerts start before the
 * programs that send to them. A program that does not start is reported and does not end the start, because Tollgate
 * works without it.
 */
async function startMonitors(
  options: StackOptions,
  ports: Ports,
  pids: Record<string, number>,
): Promise<{ urls: Record<string, string>; missing: string[] }> {
  const addresses = new Map(
    serviceNames.map((name): [string, string] => [
      `127.0.0.1:${opsPort(name, preferredPorts)}`,
      `127.0.0.1:${opsPort(name, ports)}`,
    ]),
  );
  const urls: Record<string, string> = {};
  const missing: string[] = [];
  for (const { name, label, start, consequence } of monitors) {
    const monitor = await watched(options, pids, label, async () => {
      const started = await start({ ...options, addresses }).catch((error: unknown) => {
        options.signal.throwIfAborted();
        const [reason = ''] = messageOf(error).split('\n');
        missing.push(`${label} did not start (${reason}): ${consequence}`);
        return undefined;
      });
      if (started === null) missing.push(`${label} is not installed: ${consequence}`);
      return started === null || started === undefined ? null : { server: started };
    });
    if (monitor === null) continue;
    addresses.set(...monitorAddress(name, monitor.server));
    urls[label] = monitor.server.url;
  }
  return { urls, missing };
}

function opsPort(name: ServiceName, ports: Ports): number {
  return name === 'admin' ? ports.admin : ports[`${name}Ops`];
}

function urlsOf(ports: Ports): Record<string, string> {
  return {
    gateway: at(ports.gateway),
    api: at(ports.api),
    admin: at(ports.admin),
    console: at(ports.console),
    rls: `127.0.0.1:${ports.rls}`,
    upstream: at(ports.upstream),
    gateway_ops: at(ports.gatewayOps),
    aggregator_ops: at(ports.aggregatorOps),
    reconciler_ops: at(ports.reconcilerOps),
    alerter_ops: at(ports.alerterOps),
    console_ops: at(ports.consoleOps),
  };
}

function at(port: number): string {
  return `http://127.0.0.1:${port}`;
}
