import { chmod, mkdir } from 'node:fs/promises';
import { GenericContainer, Wait } from 'testcontainers';
import { freePort } from './free-port.ts';

export interface ContainerServer {
  /** Value of the environment variable with which services connect to this server. */
  readonly address: string;
  stop(): Promise<void>;
}

interface Image {
  readonly image: string;
  readonly port: number;
  /** Path of the data directory inside the container. */
  readonly data: string;
  readonly ready: string;
  readonly env: (hostPort: number) => Record<string, string>;
  readonly command: readonly string[];
  readonly address: (hostPort: number) => string;
}

// Names of the images in docker-compose.yml.
const images: Readonly<Record<'redis' | 'kafka' | 'clickhouse', Image>> = {
  redis: {
    image: 'redis:7.4',
    port: 6379,
    data: '/data',
    ready: 'Ready to accept connections',
    env: () => ({}),
    command: ['redis-server', '--appendonly', 'yes'],
    address: (port) => `redis://127.0.0.1:${port}`,
  },
  kafka: {
    image: 'apache/kafka:4.1.1',
    port: 9092,
    data: '/var/lib/kafka/data',
    ready: 'Kafka Server started',
    env: kafkaEnvironment,
    command: [],
    address: (port) => `127.0.0.1:${port}`,
  },
  clickhouse: {
    image: 'clickhouse/clickhouse-server:26.7',
    port: 8123,
    data: '/var/lib/clickhouse',
    ready: '',
    env: () => ({ CLICKHOUSE_SKIP_USER_SETUP: '1' }),
    command: [],
    address: (port) => `http://127.0.0.1:${port}`,
  },
};

/**
 * Starts the official image of a server. The server listens on a loopback port, and its data is in `dir`. Throws the
 * error of the container engine. Machines without a container engine run the servers as native processes.
 */
export async function startContainer(
  name: keyof typeof images,
  { dir, port }: { readonly dir: string; readonly port: number },
): Promise<ContainerServer> {
  const { image, port: inside, data, ready, env, command, address } = images[name];
  const hostPort = await freePort(port);
  await mkdir(dir, { recursive: true });
  // The users of the images do not exist on this machine, so the directory must be writable for all users.
  await chmod(dir, 0o777);
  let container = new GenericContainer(image)
    .withEnvironment(env(hostPort))
    .withExposedPorts({ container: inside, host: hostPort })
    .withBindMounts([{ source: dir, target: data, mode: 'rw' }])
    .withWaitStrategy(ready === '' ? Wait.forHttp('/ping', inside) : Wait.forLogMessage(ready))
    .withStartupTimeout(startTimeoutMs);
  if (command.length > 0) container = container.withCommand([...command]);
  const started = await container.start();
  return {
    address: address(hostPort),
    async stop() {
      await started.stop();
    },
  };
}

const startTimeoutMs = 300_000;

/** The broker advertises the address to which clients connect, so its configuration contains the port on the host. */
function kafkaEnvironment(hostPort: number): Record<string, string> {
  return {
    CLUSTER_ID: 'dG9sbGdhdGUtbG9jYWwtMQ',
    KAFKA_NODE_ID: '1',
    KAFKA_PROCESS_ROLES: 'broker,controller',
    KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093',
    KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${hostPort}`,
    KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
    KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
    KAFKA_INTER_BROKER_LISTENER_NAME: 'PLAINTEXT',
    KAFKA_LOG_DIRS: '/var/lib/kafka/data',
    KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
    KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
    KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
    KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
    KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
  };
}
