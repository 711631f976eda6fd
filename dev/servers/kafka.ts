import { cp, mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { needProgram } from '../packages.ts';
import type { Say } from '../packages.ts';
import { freePort } from './free-port.ts';
import { onFreePort } from './on-free-port.ts';
import { formattedLog, kafkaClassPath, loggingConfig } from './kafka-libraries.ts';
import { processOptions, startServerProcess } from './server-process.ts';
import type { ServerProcess } from './server-process.ts';

export interface KafkaOptions {
  /** Absolute data directory. */
  readonly dir: string;
  readonly say: Say;
  readonly port?: number;
  /** Broker properties that replace the defaults of this file. */
  readonly properties?: Readonly<Record<string, string | number>>;
  readonly dieWithParent?: boolean;
  /** Aborts the start. */
  readonly signal?: AbortSignal;
}

export interface RunningKafka extends ServerProcess {
  readonly brokers: string;
  readonly port: number;
}

/** Starts one Kafka broker on loopback. It is also its own controller (KRaft). */
export async function startKafkaServer(options: KafkaOptions): Promise<RunningKafka> {
  const java = await needProgram('java', options.say);
  const classPath = await kafkaClassPath(options.say);
  const logDir = join(options.dir, 'log');
  if (!existsSync(join(logDir, 'meta.properties'))) {
    await mkdir(options.dir, { recursive: true });
    await cp(await formattedLog(java, options.say), logDir, { recursive: true });
  }
  return onFreePort(options.port, (port) => startOnPort({ ...options, java, classPath, logDir, port }));
}

interface KafkaProcessOptions extends KafkaOptions {
  readonly java: string;
  readonly classPath: string;
  readonly logDir: string;
  readonly port: number;
}

async function startOnPort(options: KafkaProcessOptions): Promise<RunningKafka> {
  const { java, classPath, logDir, port } = options;
  const controllerPort = await freePort();
  const config = join(options.dir, 'server.properties');
  await writeFile(
    config,
    propertiesText({ ...brokerProperties(port, controllerPort, logDir), ...options.properties }),
  );
  const started = await startServerProcess({
    name: 'Kafka',
    command: java,
    args: [...javaOptions, '-cp', classPath, 'kafka.Kafka', config],
    dir: options.dir,
    logFile: join(options.dir, 'kafka.log'),
    ready: () => respondsToApiVersions(port),
    ports: [port, controllerPort],
    readyTimeoutMs: 60_000,
    ...processOptions(options),
  });
  return { ...started, port, brokers: `127.0.0.1:${port}` };
}

// A small heap and only the C1 compiler: the broker then starts in about two seconds and uses little CPU time.
const javaOptions = [
  '-Xms128m',
  '-Xmx400m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Xshare:auto',
  '-XX:-UsePerfData',
  `-Dlog4j2.configurationFile=${loggingConfig}`,
];

function brokerProperties(
  port: number,
  controllerPort: number,
  logDir: string,
): Record<string, string | number> {
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': logDir,
    // There is one broker, so internal topics have one replica. They have few partitions, so that a start opens few
    // files.
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // The group coordinator does not wait for further consumers when the first consumer joins.
    'group.initial.rebalance.delay.ms': 0,
    // Topics are created only explicitly, so that a misspelt name does not create a topic.
    'auto.create.topics.enable': 'false',
    // After a kill, the controller keeps the old registration of the broker for this time before it accepts the new
    // one.
    'broker.session.timeout.ms': 2_000,
    'broker.heartbeat.interval.ms': 400,
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    'num.network.threads': 2,
    'num.io.threads': 4,
  };
}

function propertiesText(properties: Readonly<Record<string, string | number>>): string {
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}`);
  return `${lines.join('\n')}\n`;
}

const apiVersionsKey = 18;

/**
 * Whether the broker responds to ApiVersions. The port opens earlier, but the broker responds only after it is
 * registered.
 */
export function respondsToApiVersions(port: number): Promise<boolean> {
  const request = Buffer.alloc(14);
  request.writeInt32BE(10, 0); // length of the request
  request.writeInt16BE(apiVersionsKey, 4);
  request.writeInt16BE(0, 6); // version
  request.writeInt32BE(1, 8); // correlation id
  request.writeInt16BE(-1, 12); // no client id
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('data', (data) =>
      finish(data.length >= 10 && data.readInt32BE(4) === 1 && data.readInt16BE(8) === 0),
    );
  });
}
