import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../dev/servers/free-port.ts';
import { formattedLog } from '../../../dev/servers/kafka-libraries.ts';
import { startKafkaServer } from '../../../dev/servers/kafka.ts';
import type { RunningKafka } from '../../../dev/servers/kafka.ts';
import { eventually } from '../../support/servers.ts';
import { kafkaAt } from '../../integration/kafka/connection.ts';

/** Three brokers on loopback, each also a controller, for failures that cannot occur with a single broker. */
export interface KafkaCluster {
  readonly brokers: string;
  /**
   * Creates a topic with a replica of every partition on each broker. A record is acknowledged when two replicas have
   * it.
   */
  createTopic(topic: string, partitions: number): Promise<void>;
  /** Resolves with the node id of each partition's leader, by partition. */
  leaders(topic: string): Promise<number[]>;
  /** Makes another node the leader of a partition, as a rolling restart or a balancer does. */
  moveLeader(topic: string, partition: number): Promise<void>;
  kill(node: number): Promise<void>;
  restart(node: number): Promise<void>;
  pause(node: number): void;
  resume(node: number): void;
  dispose(): Promise<void>;
}

const nodes = [1, 2, 3] as const;

export async function startCluster(): Promise<KafkaCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-cluster-'));
  const ports = await Promise.all(nodes.map(() => freePort()));
  const controllerPorts = await Promise.all(nodes.map(() => freePort()));
  const voters = nodes.map((node, index) => `${node}@127.0.0.1:${controllerPorts[index]}`).join(',');
  const running = new Map<number, RunningKafka>();
  await Promise.all(nodes.map((node) => formatNode(join(dir, String(node)), node)));
  await Promise.all(nodes.map((node) => startNode(node)));
  const brokers = ports.map((port) => `127.0.0.1:${port}`).join(',');
  const connection = kafkaAt(brokers).open();
  const admin = connection.client.admin();
  await eventually(() => admin.connect().then(() => true), { timeoutMs: 30_000 });
  await eventually(async () => (await admin.describeCluster()).brokers.length === nodes.length, {
    timeoutMs: 30_000,
  });

  return {
    brokers,
    createTopic,
    leaders,
    moveLeader,
    kill: async (node) => running.get(node)?.kill(),
    restart: startNode,
    pause: (node) => running.get(node)?.pause(),
    resume: (node) => running.get(node)?.resume(),
    async dispose() {
      connection.destroy();
      for (const server of running.values()) server.resume();
      await Promise.all([...running.values()].map((server) => server.kill()));
      await rm(dir, { recursive: true, force: true });
    },
  };

  async function startNode(node: number): Promise<void> {
    const port = ports[node - 1]!;
    const controllerPort = controllerPorts[node - 1]!;
    const server = await startKafkaServer({
      dir: join(dir, String(node)),
      port,
      say: () => undefined,
      properties: {
        'node.id': node,
        'controller.quorum.voters': voters,
        listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
        'default.replication.factor': 3,
        'offsets.topic.replication.factor': 3,
        'min.insync.replicas': 2,
        'auto.leader.rebalance.enable': 'false',
        // Short timeouts: the cluster detects a paused broker within seconds instead of minutes.
        'broker.heartbeat.interval.ms': 500,
        'broker.session.timeout.ms': 3_000,
        'replica.lag.time.max.ms': 3_000,
      },
    });
    running.set(node, server);
  }

  async function createTopic(topic: string, partitions: number): Promise<void> {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 3 }] });
    await eventually(async () => (await leaders(topic)).length === partitions);
  }

  async function leaders(topic: string): Promise<number[]> {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const partitions = topics[0]?.partitions.toSorted((a, b) => a.partitionId - b.partitionId) ?? [];
    return partitions.map(({ leader }) => leader);
  }

  /**
   * Removes the leader from the partition's replicas, so that another replica becomes the leader, and adds it again as
   * the last replica.
   */
  async function moveLeader(topic: string, partition: number): Promise<void> {
    const before = (await leaders(topic))[partition]!;
    const others = nodes.filter((node) => node !== before);
    await reassign(topic, partition, others);
    await eventually(async () => (await leaders(topic))[partition] !== before);
    await reassign(topic, partition, [...others, before]);
  }

  async function reassign(topic: string, partition: number, replicas: number[]): Promise<void> {
    await eventually(
      async () => {
        await admin.alterPartitionReassignments({
          topics: [{ topic, partitionAssignment: [{ partition, replicas }] }],
        });
        return true;
      },
      { intervalMs: 100 },
    );
  }
}

async function formatNode(dir: string, node: number): Promise<void> {
  const log = join(dir, 'log');
  await mkdir(dir, { recursive: true });
  await cp(await formattedLog('java', () => undefined), log, { recursive: true });
  const path = join(log, 'meta.properties');
  const meta = await readFile(path, 'utf8');
  // The template belongs to node 1. Each node needs its own node id and directory id.
  const renamed = meta
    .replace(/^node\.id=.*$/m, `node.id=${node}`)
    .replace(/^directory\.id=.*$/m, `directory.id=tollgateTestFolder00${node}A`);
  await writeFile(path, renamed);
}
