import { Redis } from 'ioredis';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import type { Installation } from '../../support/services.ts';
import { untilSpoolStores } from '../../support/spool.ts';
import { setClockFor } from '../clocks/faults.ts';
import type { SettableClock } from '../clocks/set-clock.ts';
import { diskFaults } from '../disk.ts';
import type { DiskFault, FaultDisk } from '../disk.ts';
import { outageOf, runOutages } from '../redis/outages.ts';

/** A service or a server that can be killed, paused and started again. */
export interface Target {
  kill(): Promise<unknown>;
  pause(): void;
  resume(): void;
  restart(): Promise<void>;
}

export interface Targets {
  readonly installation: Installation;
  readonly redis: Target & { readonly url: string };
  readonly redisClock: SettableClock;
  readonly kafka: Target & { readonly brokers: string };
  readonly clickhouse: Target;
  /** The disk of the gateway's spool. */
  readonly disk: FaultDisk;
  /** The topic of usage events. */
  readonly topic: string;
}

const services = ['gateway', 'aggregator', 'reconciler'] as const;
const victims = [...services, 'redis', 'kafka', 'clickhouse'] as const;
type Victim = (typeof victims)[number];

export type FaultName =
  | `${'kill' | 'pause'} ${Victim}`
  | `disk ${DiskFault}`
  | 'cut redis connections'
  | 'stop redis in series'
  | 'add a partition'
  | 'set redis clock ahead'
  | 'set redis clock back';

export const faultNames: readonly FaultName[] = [
  ...victims.flatMap((victim) => [`kill ${victim}`, `pause ${victim}`] as const),
  ...diskFaults.ext4.map((fault) => `disk ${fault}` as const),
  'cut redis connections',
  'stop redis in series',
  'add a partition',
  'set redis clock ahead',
  'set redis clock back',
];

const partitionsMax = 24;
const clockErrorMs = 600_000;

/** Causes the fault and ends it after `downMs`. Resolves when everything runs again. */
export async function inject(fault: FaultName, downMs: number, targets: Targets): Promise<void> {
  if (fault === 'cut redis connections') return cutRedisConnections(targets.redis.url);
  if (fault === 'set redis clock ahead') return setClockFor(targets.redisClock, clockErrorMs, downMs);
  if (fault === 'set redis clock back') return setClockFor(targets.redisClock, -clockErrorMs, downMs);
  if (fault === 'add a partition') return addPartition(targets.kafka.brokers, targets.topic);
  if (fault === 'stop redis in series') {
    // Three outages that together are as long as one outage.
    const third = Math.ceil(downMs / 3);
    return runOutages(outageOf(targets.redis, 'SIGSTOP'), { count: 3, downMs: third, upMs: 300 });
  }
  const [deed, what = ''] = fault.split(/ (.*)/);
  if (deed === 'disk') {
    await targets.disk.inject(what as DiskFault);
    await passing(downMs);
    await targets.disk.recover();
    return;
  }
  const target = targetOf(what as Victim, targets);
  if (deed === 'pause') {
    target.pause();
    await passing(downMs);
    target.resume();
    return;
  }
  if (what === 'gateway') await untilSpoolStores(targets.installation.service('gateway').opsUrl);
  await target.kill();
  await passing(downMs);
  await target.restart();
}

function targetOf(victim: Victim, targets: Targets): Target {
  const service = services.find((name) => name === victim);
  return service === undefined
    ? targets[victim as Exclude<Victim, (typeof services)[number]>]
    : targets.installation.service(service);
}

async function addPartition(brokers: string, topic: string): Promise<void> {
  const logger = createLogger('test', 'error');
  const connection = createKafka({ brokers, clientId: 'test', logger }).open();
  const admin = connection.client.admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const partitions = topics[0]?.partitions.length ?? 0;
    // Each partition needs file handles in every process, so the number of partitions is bounded.
    if (partitions >= partitionsMax) return;
    await admin.createPartitions({ topicPartitions: [{ topic, count: partitions + 1 }] });
  } finally {
    connection.destroy();
  }
}

async function cutRedisConnections(url: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  redis.disconnect();
}

/**
 * Resolves after the duration of a fault. Other tests must wait for a condition instead of a duration; here the
 * duration is part of the fault.
 */
export function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Pseudorandom numbers in [0, 1) from a seed (Mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
