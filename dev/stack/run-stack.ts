import { join } from 'node:path';
import { messageOf } from '../../shared/runtime/errors.ts';
import type { RunningMonitor } from '../servers/prometheus.ts';
import { sampleTenants } from '../sample/tenants.ts';
import { containerEngineAnswers } from '../servers/containers/container-engine.ts';
import { warmCompileCache } from './compile-cache/compile-cache.ts';
import { writeHeaderFiles } from './greeting/header-files.ts';
import { startSignInLinks } from './greeting/sign-in-links.ts';
import { createLauncher } from './launch.ts';
import type { Closer, Launcher } from './launch.ts';
import { monitorAddress, monitors } from './monitoring.ts';
import { installNeededPrograms } from './needed-programs.ts';
import { movedPorts, opsPort, preferredPorts } from './ports.ts';
import type { Ports } from './ports.ts';
import type { Progress } from './progress.ts';
import { chooseProviders } from './providers.ts';
import { loadSecrets } from './secrets.ts';
import { fillDatabase, fillKafka } from './seed.ts';
import { startStackServers } from './servers.ts';
import { serviceNames, startNodeProcess } from './services.ts';
import { createStackFileKeeper, quietTenant, stackTenants } from './stack-file.ts';
import type { StackFile } from './stack-file.ts';
import { startServices } from './start-services.ts';

export interface StackOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly localDir: string;
  /** Whether data of earlier starts is deleted. */
  readonly fresh: boolean;
  /** Whether sample calls are made. */
  readonly traffic: boolean;
  /** Whether an empty database is filled with sample calls of the past. */
  readonly history: boolean;
  readonly progress: Progress;
  /** Aborts the start. */
  readonly signal: AbortSignal;
  /**
   * Registers the function that stops a process. Functions run in reverse order of registration; consecutive
   * functions of the same group run concurrently.
   */
  readonly onClose: (closer: Closer) => void;
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
 * this function throws later. A process that ends is started again.
 */
export async function runStack(options: StackOptions): Promise<RunningStack> {
  const { env, localDir, progress, signal, onClose } = options;
  const stackFile = await createStackFileKeeper(join(localDir, 'stack.json'));
  const launcher = createLauncher({
    progress,
    signal,
    onClose,
    onPid: (name, pid) => stackFile.setPid(name, pid),
  });
  const providers = await chooseProviders(env, () => containerEngineAnswers(env));
  const secrets = await loadSecrets(
    join(localDir, 'secrets.json'),
    sampleTenants.map(({ tenantId }) => tenantId),
  );
  const say = progress.say.bind(progress);
  await installNeededPrograms(providers, say);
  const addresses = await startStackServers({
    providers,
    env,
    localDir,
    fresh: options.fresh,
    say,
    signal,
    launcher,
    prepare: {
      kafka: (brokers) =>
        fillKafka({ brokers, topicPrefix: env['TOLLGATE_TOPIC_PREFIX'] ?? 'tollgate.', secrets, progress }),
      clickhouse: (url) =>
        fillDatabase({
          connection: {
            url,
            database: env['CLICKHOUSE_DATABASE'] ?? 'tollgate',
            username: env['CLICKHOUSE_USER'] ?? 'default',
            password: env['CLICKHOUSE_PASSWORD'] ?? '',
          },
          // An external database may hold the usage of an installation.
          history: options.history && providers.clickhouse !== 'external',
          progress,
        }),
    },
  });
  signal.throwIfAborted();

  const ports = await startServices({ secrets, addresses, env, localDir, signal, launcher });
  const { urls: monitorUrls, missing } = await startMonitors(options, ports, launcher);
  onClose({ group: 'file', name: 'stack.json', close: () => stackFile.close() });
  const tenants = await stackTenants(secrets);
  const links = await startSignInLinks({
    adminUrl: at(ports.admin),
    consoleUrl: at(ports.console),
    adminToken: secrets.adminToken,
    key: secrets.linkKey,
  });
  onClose({ group: 'watchers', name: 'sign-in links', close: () => links.close() });
  const file = await stackFile.open({
    urls: { ...urlsOf(ports), ...addresses, ...monitorUrls },
    links: { portal: links.portal(quietTenant(tenants, 'pro').tenant_id), operator: links.operator },
    admin_token: secrets.adminToken,
    service_token: secrets.serviceToken,
    tenants,
  });
  await writeHeaderFiles(join(localDir, 'headers'), file);
  if (options.traffic) await startTraffic(options, stackFile.path, launcher);
  onClose({ group: 'watchers', name: 'compile cache', close: warmCompileCache(localDir) });
  return { file, path: stackFile.path, movedPorts: movedPorts(ports), missingMonitors: missing };
}

/**
 * Starts the monitoring programs that are installed, and returns their URLs. Receivers of alerts start before the
 * programs that send to them. A program that does not start is reported and does not end the start, because Tollgate
 * works without it.
 */
async function startMonitors(
  { localDir, signal: startSignal }: StackOptions,
  ports: Ports,
  launcher: Launcher,
): Promise<{ urls: Record<string, string>; missing: string[] }> {
  const addresses = new Map(
    serviceNames.map((name): [string, string] => [
      `127.0.0.1:${opsPort(name, preferredPorts)}`,
      `127.0.0.1:${opsPort(name, ports)}`,
    ]),
  );
  const urls: Record<string, string> = {};
  const missing: string[] = [];
  for (const { key, name, start, consequence } of monitors) {
    try {
      const monitor = await launcher.launch<RunningMonitor>({
        name,
        group: 'watchers',
        start: (signal, previous) => start({ localDir, addresses, previous, signal }),
      });
      if (monitor === null) missing.push(`${name} is not installed: ${consequence}`);
      if (monitor === null) continue;
      addresses.set(...monitorAddress(key, monitor.current()));
      urls[name] = monitor.current().url;
    } catch (error) {
      startSignal.throwIfAborted();
      const [reason = ''] = messageOf(error).split('\n');
      missing.push(`${name} did not start (${reason}): ${consequence}`);
    }
  }
  return { urls, missing };
}

async function startTraffic({ localDir }: StackOptions, path: string, launcher: Launcher): Promise<void> {
  await launcher.launch({
    name: 'traffic',
    group: 'watchers',
    start: (signal) =>
      startNodeProcess({
        name: 'traffic',
        script: 'dev/sample/traffic.ts',
        env: { STACK_FILE: path },
        readyUrl: null,
        localDir,
        signal,
      }),
  });
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
