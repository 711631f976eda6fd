import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needProgram } from '../../../dev/packages.ts';
import { pythonBin } from '../../../dev/python-packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startServerProcess } from '../../../dev/servers/server-process.ts';

export type ProxyName = 'nginx' | 'caddy' | 'traefik';

/** Addresses in the form `host:port`. */
export interface ProxyTargets {
  readonly api: string;
  readonly tollgate: string;
  /** The address of the gateway's listener that serves `/healthz`. */
  readonly health: string;
}

export interface RunningProxy {
  readonly url: string;
  stop(): Promise<void>;
}

interface Recipe {
  /** The files of `examples/<name>` whose ports the test replaces. */
  readonly files: readonly string[];
  /** The edit that makes the proxy allow requests while Tollgate is down. */
  readonly open: readonly [file: string, from: string, into: string];
  readonly command: (dir: string) => Promise<{ command: string; args: string[] }>;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const recipes: Readonly<Record<ProxyName, Recipe>> = {
  nginx: {
    files: ['nginx.conf'],
    open: ['nginx.conf', 'default closed;', 'default open;'],
    command: async (dir) => ({
      command: await needProgram('nginx', say),
      args: [
        '-p',
        dir,
        '-c',
        join(dir, 'nginx.conf'),
        '-g',
        `daemon off; pid ${join(dir, 'pid')};`,
        '-e',
        'stderr',
      ],
    }),
  },
  caddy: {
    files: ['Caddyfile'],
    open: ['Caddyfile', 'import closed', 'import open'],
    command: async (dir) => ({
      command: await needProgram('caddy', say),
      args: ['run', '--config', join(dir, 'Caddyfile')],
    }),
  },
  traefik: {
    files: ['traefik.yaml', 'dynamic.yaml'],
    open: ['dynamic.yaml', 'service: closed\n\n', 'service: open\n\n'],
    command: async () => ({
      command: join(await pythonBin('proxies', say), 'traefik'),
      args: ['--configFile=traefik.yaml'],
    }),
  },
};

/**
 * Starts a real proxy with the files of `examples/<name>`. Only the ports are changed and, if `open` is true, the
 * option that allows requests while Tollgate is down.
 */
export async function startProxy(
  name: ProxyName,
  targets: ProxyTargets,
  { open = false }: { readonly open?: boolean } = {},
): Promise<RunningProxy> {
  const { files, open: option, command } = recipes[name];
  const dir = await mkdtemp(join(tmpdir(), `tollgate-${name}-`));
  await cp(join('examples', name), dir, { recursive: true });
  const [port, ownPort] = [await freePort(), await freePort()];
  for (const file of files) {
    let text = await readFile(join(dir, file), 'utf8');
    if (open && file === option[0]) text = replaced(text, option[1], option[2]);
    await writeFile(join(dir, file), withPorts(text, port, ownPort, targets));
  }
  const url = `http://127.0.0.1:${port}`;
  const process = await startServerProcess({
    name,
    ...(await command(dir)),
    dir,
    env: { XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
    logFile: join(dir, 'log'),
    // The status is 404, 502 or 503 until the proxy is ready and reaches Tollgate.
    ready: async () => ![404, 502, 503].includes((await fetch(`${url}/ready`)).status),
    readyTimeoutMs: 60_000,
  });
  return {
    url,
    stop: async () => {
      await process.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function withPorts(
  text: string,
  port: number,
  ownPort: number,
  { api, tollgate, health }: ProxyTargets,
): string {
  return text
    .replaceAll('127.0.0.1:8000', `127.0.0.1:${port}`)
    .replaceAll('http://:8000', `http://:${port}`)
    .replaceAll('127.0.0.1:8001', `127.0.0.1:${ownPort}`)
    .replaceAll('http://:8001', `http://:${ownPort}`)
    .replaceAll('127.0.0.1:8081', tollgate)
    .replaceAll('port: 8090', `port: ${health.slice(health.lastIndexOf(':') + 1)}`)
    .replaceAll('127.0.0.1:9000', api);
}

function replaced(text: string, from: string, into: string): string {
  if (!text.includes(from)) throw new Error(`the recipe has no "${from}"`);
  return text.replace(from, into);
}
