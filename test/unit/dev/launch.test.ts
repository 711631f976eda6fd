import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../../dev/servers/free-port.ts';
import { onFreePort } from '../../../dev/servers/on-free-port.ts';
import { PortTakenError, startServerProcess } from '../../../dev/servers/server-process.ts';
import type { ServerProcess } from '../../../dev/servers/server-process.ts';
import { createLauncher } from '../../../dev/stack/launch.ts';
import type { Closer } from '../../../dev/stack/launch.ts';
import { createProgress } from '../../../dev/stack/progress.ts';
import { createStackFileKeeper } from '../../../dev/stack/stack-file.ts';
import { eventually } from '../../support/servers.ts';

let dir: string;
const running: ServerProcess[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tollgate-launch-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.kill()));
  await rm(dir, { recursive: true, force: true });
});

const server = (port: number): string =>
  `require('node:http').createServer((q, s) => s.end('own')).listen(${port}, '127.0.0.1')`;

async function start(script: string, port: number, readyTimeoutMs = 20_000): Promise<ServerProcess> {
  const started = await startServerProcess({
    name: 'trial',
    command: process.execPath,
    args: ['--eval', script],
    dir,
    logFile: join(dir, 'trial.log'),
    ports: [port],
    ready: async () => (await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(1_000) })).ok,
    readyTimeoutMs,
  });
  running.push(started);
  return started;
}

/** Another program that has the port and answers every probe. */
async function occupy(port: number): Promise<() => Promise<void>> {
  const other = createServer((_request, response) => response.end('other')).listen(port, '127.0.0.1');
  await once(other, 'listening');
  return async () => {
    other.closeAllConnections();
    other.close();
    await once(other, 'close');
  };
}

test('a probe that another process answers does not make a server ready', async () => {
  const port = await freePort();
  const release = await occupy(port);
  try {
    await expect(start('setInterval(() => {}, 1000)', port, 500)).rejects.toThrow(PortTakenError);
  } finally {
    await release();
  }
});

test('a server whose port another program takes during its start gets another port', async () => {
  const preferred = await freePort();
  let release: (() => Promise<void>) | null = null;
  const ports: number[] = [];
  const started = await onFreePort(preferred, async (port) => {
    ports.push(port);
    release ??= await occupy(port);
    return start(server(port), port);
  });
  expect(ports).toHaveLength(2);
  expect(ports[0]).toBe(preferred);
  expect(await (await fetch(`http://127.0.0.1:${ports[1]!}`)).text()).toBe('own');
  expect(started.alive()).toBe(true);
  await release!();
});

test('a process that is killed starts again at its address, the stack file has its pid, and a stop ends it', async () => {
  const port = await freePort();
  const lines: string[] = [];
  const closers: Closer[] = [];
  const keeper = await createStackFileKeeper(join(dir, 'stack.json'));
  await keeper.open({
    urls: {},
    links: { portal: '', operator: '' },
    admin_token: '',
    service_token: '',
    tenants: [],
  });
  const launcher = createLauncher({
    progress: createProgress((line) => void lines.push(line)),
    signal: new AbortController().signal,
    onClose: (closer) => void closers.push(closer),
    onPid: (name, pid) => keeper.setPid(name, pid),
  });
  const launched = await launcher.launch<ServerProcess>({
    name: 'trial',
    group: 'services',
    start: () => start(server(port), port),
  });
  const pidInFile = async (): Promise<number> =>
    (JSON.parse(await readFile(keeper.path, 'utf8')) as { pids: { trial: number } }).pids.trial;
  for (let kill = 0; kill < 2; kill++) {
    const { pid } = launched!.current();
    expect(await pidInFile()).toBe(pid);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => (await pidInFile()) !== pid);
    expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('own');
  }
  expect(lines.join('\n')).toMatch(/trial has stopped unexpectedly and is started again in 0\.25 s/);
  await eventually(() => /again in 0\.5 s[^]+✓ trial runs again \(pid \d+\)/.test(lines.join('\n')));
  await Promise.all(closers.map(({ close }) => close()));
  expect(launched!.current().alive()).toBe(false);
  expect(lines.filter((line) => line.includes('stopped unexpectedly'))).toHaveLength(2);
});

test('a step whose program is not installed gets no tick', async () => {
  const lines: string[] = [];
  const progress = createProgress((line) => void lines.push(line));
  await progress.step('prometheus', () => Promise.resolve(null));
  expect(lines).toEqual(['  – prometheus is not installed']);
});

test('the address that a server had is in use by another program: the restart waits for it', async () => {
  const port = await freePort();
  const lines: string[] = [];
  const launcher = createLauncher({
    progress: createProgress((line) => void lines.push(line)),
    signal: new AbortController().signal,
    onClose: () => undefined,
    onPid: () => Promise.resolve(),
  });
  let release: (() => Promise<void>) | null = null;
  const launched = await launcher.launch<ServerProcess>({
    name: 'trial',
    group: 'servers',
    start: async (_signal, previous) => {
      if (previous !== null) release ??= await occupy(port);
      return start(server(port), port);
    },
  });
  const { pid } = launched!.current();
  process.kill(pid, 'SIGKILL');
  await eventually(() =>
    lines.some((line) => /did not start; next attempt.*another process listens/.test(line)),
  );
  await release!();
  await eventually(() => launched!.current().pid !== pid);
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toBe('own');
  await launched!.stop();
});
