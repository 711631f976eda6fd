// Goal: stacks that start at the same moment never get the same port. Method: several processes choose ports at once,
// before any of them listens.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import { freePort, isFree } from '../../../dev/servers/free-port.ts';

const chooser = `
  const { freePort } = await import(process.argv[1]);
  const ports = [];
  for (const preferred of process.argv.slice(2)) ports.push(await freePort(Number(preferred)));
  console.log(JSON.stringify(ports));
  process.stdin.resume().on('end', () => process.exit());`;

interface Chooser {
  readonly ports: readonly number[];
  stop(): Promise<void>;
}

const running: Chooser[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

/** A process that reserves these ports, one after the other, and holds them until it is stopped. */
async function startChooser(preferred: readonly number[]): Promise<Chooser> {
  const module = new URL('../../../dev/servers/free-port.ts', import.meta.url).href;
  const args = ['--input-type=module', '--eval', chooser, module, ...preferred.map(String)];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await exited;
  };
  const one = { ports: JSON.parse(line) as number[], stop };
  running.push(one);
  return one;
}

test('processes that choose at one moment get different ports, and the one that was first gets those it prefers', async () => {
  const preferred = await unclaimedPorts(3);
  const choosers = await Promise.all(Array.from({ length: 5 }, () => startChooser(preferred)));
  const ports = choosers.flatMap((one) => one.ports);
  expect(ports).toHaveLength(15);
  expect(new Set(ports).size).toBe(15);
  expect(ports).toEqual(expect.arrayContaining(preferred));
});

test('a port is free again when its process has ended', async () => {
  const preferred = await unclaimedPorts(1);
  const first = await startChooser(preferred);
  expect(first.ports).toEqual(preferred);
  expect((await startChooser(preferred)).ports).not.toEqual(preferred);
  await first.stop();
  expect((await startChooser(preferred)).ports).toEqual(preferred);
});

test('a process may reserve its own port again while no server listens on it', async () => {
  const port = await freePort();
  expect(await freePort(port)).toBe(port);
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  expect(await freePort(port)).not.toBe(port);
  server.close();
});

test('many ports of one process are different', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  expect(new Set(ports).size).toBe(50);
});

/**
 * Different free ports that no process has reserved. They are below the ports that `freePort` selects and below the
 * ephemeral ports, so that no other test can receive one of them at the same time.
 */
async function unclaimedPorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(2_000, 6_000);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}
