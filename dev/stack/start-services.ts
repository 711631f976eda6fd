import { allOrNone } from '../servers/all-or-none.ts';
import { PortTakenError } from '../servers/server-process.ts';
import type { ServerProcess } from '../servers/server-process.ts';
import type { Launched, Launcher } from './launch.ts';
import { choosePorts, opsPort, portsOf } from './ports.ts';
import type { Ports } from './ports.ts';
import type { Secrets } from './secrets.ts';
import { serviceEnvironment } from './service-environment.ts';
import { serviceNames, startNodeProcess } from './services.ts';
import type { ServiceName } from './services.ts';

export interface ServicesOptions {
  readonly secrets: Secrets;
  readonly addresses: Readonly<Record<'redis' | 'kafka' | 'clickhouse', string>>;
  readonly env: NodeJS.ProcessEnv;
  readonly localDir: string;
  readonly signal: AbortSignal;
  readonly launcher: Launcher;
}

const attemptsMax = 3;

/**
 * Starts the sample API, then all services concurrently, and returns their ports. If another program takes a port
 * between its choice and the start, all services are started again, because they have the ports of each other.
 */
export async function startServices(options: ServicesOptions): Promise<Ports> {
  for (let attempt = 1; ; attempt += 1) {
    const ports = await choosePorts();
    const launched: Launched<ServerProcess>[] = [];
    try {
      await startOn(ports, launched, options);
      return ports;
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === attemptsMax) throw error;
      await Promise.all(launched.map((service) => service.stop()));
    }
  }
}

async function startOn(
  ports: Ports,
  launched: Launched<ServerProcess>[],
  options: ServicesOptions,
): Promise<void> {
  const { localDir, launcher } = options;
  const failure = new AbortController();
  const first = AbortSignal.any([options.signal, failure.signal]);
  const keep = (started: Launched<ServerProcess> | null): void => {
    if (started !== null) launched.push(started);
  };
  keep(
    await launcher.launch({
      name: 'upstream',
      group: 'upstream',
      start: (signal) =>
        startNodeProcess({
          name: 'upstream',
          script: 'dev/sample/upstream.ts',
          env: { PORT: String(ports.upstream) },
          readyUrl: `http://127.0.0.1:${ports.upstream}/health`,
          ports: [ports.upstream],
          localDir,
          signal,
        }),
    }),
  );
  const launchService = (name: ServiceName): Promise<void> =>
    launcher
      .launch(
        {
          name,
          group: 'services',
          start: (signal, previous: ServerProcess | null) =>
            startNodeProcess({
              name,
              script: `services/${name}/main.ts`,
              env: serviceEnvironment(name, { ...options, ports }),
              readyUrl: `http://127.0.0.1:${opsPort(name, ports)}${probeOf(previous)}`,
              ports: portsOf(name, ports),
              localDir,
              signal,
            }),
        },
        first,
      )
      .then(keep);
  await allOrNone<unknown[]>(failure, serviceNames.map(launchService));
}

/**
 * The first start waits until the services can do their work. A service that starts again runs as soon as it responds:
 * the server that it needs may be starting again too.
 */
function probeOf(previous: ServerProcess | null): string {
  return previous === null ? '/readyz' : '/healthz';
}
