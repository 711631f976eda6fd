import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/servers/free-port.ts';
import type { ServiceName } from '../../dev/stack/services.ts';

/** One service in its own process, as in production. */
export interface RunningService {
  readonly name: ServiceName;
  readonly pid: () => number;
  /** Base URL of /metrics, /healthz and /readyz. */
  readonly opsUrl: string;
  /** The last lines of its output. */
  readonly log: () => string;
  /** Sends SIGKILL, as in a crash. Resolves when the process has exited. */
  readonly kill: () => Promise<void>;
  readonly pause: () => void;
  readonly resume: () => void;
  /** Restarts the service with the same environment and `more`, and waits until it is ready. */
  readonly restart: (more?: Readonly<Record<string, string>>) => Promise<void>;
  /** Restarts the service without waiting until it is ready. */
  readonly launch: () => Promise<void>;
  /** The next starts run the code of the checkout in `dir`. */
  readonly useCheckout: (dir: string) => void;
  /** Sends SIGTERM. Resolves with the exit code. */
  readonly stop: () => Promise<number | null>;
}

export interface Installation {
  readonly env: Readonly<Record<string, string>>;
  readonly urls: {
    readonly gateway: string;
    readonly api: string;
    readonly rls: string;
    readonly admin: string;
    readonly console: string;
  };
  readonly service: (name: ServiceName) => RunningService;
  readonly stop: () => Promise<void>;
}

const readyTimeoutMs = 120_000;
const logBytesMax = 64_000;
/** Environment of every process. All processes share compiled code, which makes a start three times as fast. */
export const processEnvironment = {
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: join(tmpdir(), 'tollgate-compile-cache'),
};
const portsNeeded = 10;

/**
 * Starts services on free ports and waits until they are ready. `common` is their environment: REDIS_URL, KAFKA_BROKERS,
 * CLICKHOUSE_URL, prefixes and secrets, which the caller makes unique. `envOf` has the variables of one service only. `checkout` is
 * the repository whose code runs.
 */
export async function startServices(
  names: readonly ServiceName[],
  common: Readonly<Record<string, string>>,
  envOf: Partial<Readonly<Record<ServiceName, Readonly<Record<string, string>>>>> = {},
  checkout: string = process.cwd(),
): Promise<Installation> {
  const ports = await freePorts(portsNeeded);
  const [
    proxy,
    api,
    rls,
    gatewayOps,
    aggregatorOps,
    reconcilerOps,
    alerterOps,
    admin,
    consolePort,
    consoleOps,
  ] = ports.map(String) as [string, string, string, string, string, string, string, string, string, string];
  const at = (port: string): string => `http://127.0.0.1:${port}`;
  const env: Record<string, string> = {
    TOLLGATE_SPOOL_DIR: mkdtempSync(join(tmpdir(), 'tollgate-spool-')),
    TOLLGATE_CONSOLE_URL: at(consolePort),
    LOG_LEVEL: 'info',
    ...common,
  };
  const own: Record<ServiceName, Record<string, string>> = {
    gateway: { PORT: proxy, API_PORT: api, RLS_PORT: rls, OPS_PORT: gatewayOps },
    aggregator: { OPS_PORT: aggregatorOps },
    reconciler: { OPS_PORT: reconcilerOps },
    alerter: { OPS_PORT: alerterOps },
    admin: { ADMIN_PORT: admin },
    console: { CONSOLE_PORT: consolePort, OPS_PORT: consoleOps },
  };
  const services = new Map<ServiceName, RunningService>();
  try {
    await Promise.all(
      names.map(async (name) => {
        const opsPort = own[name]['OPS_PORT'] ?? admin;
        const service = createService(
          name,
          { ...env, ...own[name], ...envOf[name] },
          `http://127.0.0.1:${opsPort}`,
        );
        service.useCheckout(checkout);
        services.set(name, service);
        await service.restart();
      }),
    );
  } catch (error) {
    await Promise.all([...services.values()].map((service) => service.stop()));
    throw error;
  }
  return {
    env,
    urls: {
      gateway: at(proxy),
      api: at(api),
      rls: `127.0.0.1:${rls}`,
      admin: at(admin),
      console: at(consolePort),
    },
    service: (name) => {
      const service = services.get(name);
      if (service === undefined) throw new Error(`${name} was not started by this test`);
      return service;
    },
    stop: async () => {
      await Promise.all([...services.values()].map((service) => service.stop()));
    },
  };
}

/** Starts one service with its own ports and folders, without waiting until it is ready. */
export async function launchService(
  name: ServiceName,
  variables: Readonly<Record<string, string>>,
): Promise<RunningService> {
  const [one, two, three, ops] = (await freePorts(4)).map(String) as [string, string, string, string];
  const env = {
    TOLLGATE_SPOOL_DIR: mkdtempSync(join(tmpdir(), 'tollgate-spool-')),
    LOG_LEVEL: 'info',
    ...{ PORT: one, API_PORT: two, RLS_PORT: three, OPS_PORT: ops },
    ...{ ADMIN_PORT: ops, CONSOLE_PORT: one },
    ...variables,
  };
  const service = createService(name, env, `http://127.0.0.1:${ops}`);
  await service.launch();
  return service;
}

function createService(name: ServiceName, env: Record<string, string>, opsUrl: string): RunningService {
  let child: ChildProcess | null = null;
  let log = '';
  let checkout = process.cwd();
  const running = (): ChildProcess => {
    if (child === null) throw new Error(`${name} is not running`);
    return child;
  };
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const ending = child;
    child = null;
    if (ending === null || ending.exitCode !== null || ending.signalCode !== null)
      return ending?.exitCode ?? null;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    if (signal !== 'SIGKILL') ending.kill('SIGCONT');
    await exited;
    return ending.exitCode;
  };
  const launch = async (more: Readonly<Record<string, string>> = {}): Promise<ChildProcess> => {
    await end('SIGKILL');
    const started = spawn(process.execPath, [`services/${name}/main.ts`], {
      env: {
        ...processEnvironment,
        HOST: '127.0.0.1',
        ...env,
        ...more,
      },
      cwd: checkout,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    const keep = (chunk: Buffer): void => {
      log = (log + chunk.toString()).slice(-logBytesMax);
    };
    started.stdout.on('data', keep);
    started.stderr.on('data', keep);
    return started;
  };
  const start = async (more: Readonly<Record<string, string>> = {}): Promise<void> => {
    const started = await launch(more);
    await untilReady(
      name,
      opsUrl,
      () => started.exitCode !== null || started.signalCode !== null,
      () => log,
    );
  };
  return {
    name,
    pid: () => running().pid ?? 0,
    opsUrl,
    log: () => log,
    kill: async () => {
      await end('SIGKILL');
    },
    pause: () => void running().kill('SIGSTOP'),
    resume: () => void running().kill('SIGCONT'),
    restart: start,
    launch: async () => {
      await launch();
    },
    useCheckout: (dir) => void (checkout = dir),
    stop: () => end('SIGTERM'),
  };
}

async function untilReady(
  name: string,
  opsUrl: string,
  exited: () => boolean,
  log: () => string,
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  let last = 'no response yet';
  while (Date.now() < deadline) {
    if (exited()) throw new Error(`${name} ended while starting:\n${log()}`);
    try {
      const response = await fetch(`${opsUrl}/readyz`, { signal: AbortSignal.timeout(10_000) });
      if (response.ok) return;
      last = await response.text();
    } catch (error) {
      last = String(error);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${name} was not ready after ${readyTimeoutMs} ms (${last}):\n${log()}`);
}

/** Different ports on which no process listens. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
