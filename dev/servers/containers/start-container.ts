import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { ImageName, getContainerRuntimeClient } from 'testcontainers';
import type { ContainerRuntimeClient } from 'testcontainers';
import { TollgateError, messageOf } from '../../../shared/runtime/errors.ts';
import type { Say } from '../../packages.ts';
import { PortTakenError } from '../server-process.ts';
import { imageOf, serverImages } from './images.ts';
import type { ContainerName } from './images.ts';

export interface ContainerServer {
  /** Value of the environment variable with which services connect to this server. */
  readonly address: string;
  /** Resolves when the container has ended. */
  readonly exited: Promise<unknown>;
  /** Sends the stop signal of the image, and SIGKILL if the server has not ended in time. Keeps the data. */
  stop(): Promise<void>;
}

export interface ContainerOptions {
  /** Absolute path of the stack's directory. It distinguishes the containers and volumes of several checkouts. */
  readonly stackDir: string;
  readonly port: number;
  /** Deletes the data of earlier starts. */
  readonly fresh: boolean;
  readonly say: Say;
  /** Aborts the start, also while the image is being pulled. */
  readonly signal: AbortSignal;
}

const readyPollMs = 100;
const readyTimeoutMs = 120_000;
const stopGraceSeconds = 30;

/**
 * Starts the official image of a server. Its port is published on loopback only, and its data is in a named volume: a
 * directory of this machine would become the property of a user of the image. Throws the error of the container
 * engine. Machines without a container engine run the servers as native processes.
 */
export async function startContainer(
  name: ContainerName,
  options: ContainerOptions,
): Promise<ContainerServer> {
  const { port, fresh, signal } = options;
  const container = containerName(options.stackDir, name);
  const client = await abortable(signal, getContainerRuntimeClient());
  const { dockerode } = client.container;
  await removeIfPresent(() => dockerode.getContainer(container).remove({ force: true }));
  if (fresh) await removeIfPresent(() => dockerode.getVolume(container).remove());
  await pullIfMissing(client, imageOf(name), options);
  const created = await dockerode.createContainer(createOptions(name, options));
  const exited = created.wait({ condition: 'next-exit' }).catch(() => undefined);
  const stop = async (): Promise<void> => {
    await created.stop({ t: stopGraceSeconds }).catch(() => undefined);
    await removeIfPresent(() => created.remove({ force: true }));
  };
  try {
    await created.start().catch((error: unknown) => {
      throw portTaken(name, port, error);
    });
    await waitUntilReady(name, options, async () => (await created.inspect()).State.Running);
  } catch (error) {
    const log = await created.logs({ stdout: true, stderr: true, tail: 20 }).catch(() => null);
    await removeIfPresent(() => created.remove({ force: true }));
    if (signal.aborted || error instanceof PortTakenError) throw error;
    throw new TollgateError('SERVER_MISSING', `${messageOf(error)}. The end of its log:\n${textOf(log)}`, {
      cause: error,
    });
  }
  return { address: serverImages[name].address(port), exited, stop };
}

/** Name of the container and of its volume. */
export function containerName(stackDir: string, name: ContainerName): string {
  return `tollgate-${createHash('sha256').update(stackDir).digest('hex').slice(0, 8)}-${name}`;
}

/** Options of the engine's call that creates the container. */
export function createOptions(
  name: ContainerName,
  { stackDir, port }: Pick<ContainerOptions, 'stackDir' | 'port'>,
) {
  const { port: inside, data, env, command } = serverImages[name];
  const container = containerName(stackDir, name);
  return {
    name: container,
    Image: imageOf(name),
    Env: Object.entries(env(port)).map(([variable, value]) => `${variable}=${value}`),
    ...(command.length === 0 ? {} : { Cmd: [...command] }),
    ExposedPorts: { [`${inside}/tcp`]: {} },
    Labels: { 'tollgate.stack': stackDir },
    StopTimeout: stopGraceSeconds,
    HostConfig: {
      PortBindings: { [`${inside}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: String(port) }] },
      Mounts: [{ Type: 'volume' as const, Source: container, Target: data }],
      CapDrop: ['NET_RAW'],
      SecurityOpt: ['no-new-privileges'],
    },
  };
}

async function pullIfMissing(
  client: ContainerRuntimeClient,
  image: string,
  { say, signal }: ContainerOptions,
): Promise<void> {
  const name = ImageName.fromString(image);
  if (await client.image.exists(name)) return;
  say(`pulling ${image}`);
  await abortable(signal, client.image.pull(name));
}

async function waitUntilReady(
  name: ContainerName,
  { port, signal }: ContainerOptions,
  isRunning: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  while (Date.now() < deadline) {
    signal.throwIfAborted();
    if (await serverImages[name].ready(port).catch(() => false)) return;
    if (!(await isRunning())) throw new Error(`the container of ${name} ended while starting`);
    await wait(readyPollMs);
  }
  throw new Error(`the container of ${name} did not answer within ${readyTimeoutMs} ms`);
}

/** Rejects when the signal is aborted; the engine then finishes its work in the background. */
function abortable<Value>(signal: AbortSignal, work: Promise<Value>): Promise<Value> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the start was aborted')), { once: true });
    work.then(resolve, reject);
  });
}

async function removeIfPresent(remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove();
  } catch (error) {
    // 404: it does not exist. 409: it is being removed already.
    if (![404, 409].includes((error as { readonly statusCode?: number }).statusCode ?? 0)) throw error;
  }
}

function portTaken(name: ContainerName, port: number, error: unknown): unknown {
  const isTaken = /port is already allocated|address already in use/i.test(messageOf(error));
  return isTaken ? new PortTakenError(`${name}: another process listens on port ${port}`) : error;
}

/** Text of a log, without the header of 8 bytes that precedes each part. */
function textOf(log: Buffer | null): string {
  return (log?.toString() ?? '').replaceAll(/[\u0000-\u0008\u000e-\u001f]/g, '').trim();
}
