import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { respondsToApiVersions } from '../kafka.ts';
import { answersPing } from '../redis.ts';

export type ContainerName = 'redis' | 'kafka' | 'clickhouse';

export interface ServerImage {
  readonly port: number;
  /** Path of the data directory inside the container. */
  readonly data: string;
  readonly ready: (hostPort: number) => Promise<boolean>;
  readonly env: (hostPort: number) => Readonly<Record<string, string>>;
  readonly command: readonly string[];
  /** Value of the environment variable with which services connect. */
  readonly address: (hostPort: number) => string;
}

export const serverImages: Readonly<Record<ContainerName, ServerImage>> = {
  redis: {
    port: 6379,
    data: '/data',
    ready: answersPing,
    env: () => ({}),
    command: ['redis-server', '--appendonly', 'yes'],
    address: (port) => `redis://127.0.0.1:${port}`,
  },
  kafka: {
    port: 9092,
    data: '/var/lib/kafka/data',
    ready: respondsToApiVersions,
    env: kafkaEnvironment,
    command: [],
    address: (port) => `127.0.0.1:${port}`,
  },
  clickhouse: {
    port: 8123,
    data: '/var/lib/clickhouse',
    ready: async (port) =>
      (await fetch(`http://127.0.0.1:${port}/ping`, { signal: AbortSignal.timeout(1_000) })).ok,
    env: () => ({ CLICKHOUSE_SKIP_USER_SETUP: '1' }),
    command: [],
    address: (port) => `http://127.0.0.1:${port}`,
  },
};

const composeFile = join(import.meta.dirname, '..', '..', '..', 'docker-compose.yml');

/** Name of the image of a server in docker-compose.yml, so that both use the same version. */
export function imageOf(name: ContainerName): string {
  const compose = parse(readFileSync(composeFile, 'utf8'), { merge: true }) as {
    readonly services: Readonly<Record<string, { readonly image?: string }>>;
  };
  // The default of a variable: `${REDIS_IMAGE:-redis:7.4.2}`.
  const image = compose.services[name]?.image ?? '';
  return /^\$\{\w+:-(.+)\}$/.exec(image)?.[1] ?? image;
}

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
    // After a kill, the controller keeps the old registration of the broker for this time before it accepts the new one.
    KAFKA_BROKER_SESSION_TIMEOUT_MS: '2000',
    KAFKA_BROKER_HEARTBEAT_INTERVAL_MS: '400',
  };
}
