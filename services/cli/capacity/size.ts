import type { CapacityFigures } from './measured-capacity.ts';

export interface Demand {
  /** Requests a second at the busiest time. */
  readonly peakPerSecond: number;
  /** Mean requests a second, which the disks have to hold. */
  readonly meanPerSecond: number;
  readonly tenants: number;
  readonly retentionDays: number;
}

/** What an installation needs. Bytes include all replicas. */
export interface Size {
  /** Processes, each with one core. */
  readonly gateways: number;
  /** Masters, each with one core. */
  readonly redisMasters: number;
  /** Masters if busy tenants make nearly all requests, so that their units are leased. */
  readonly redisMastersLeased: number;
  readonly redisBytes: number;
  readonly kafkaPartitions: number;
  readonly kafkaBytes: number;
  /** Processes, each with one core. */
  readonly aggregators: number;
  readonly clickhouseCores: number;
  readonly clickhouseBytes: number;
}

/** Part of a core that is busy at the peak: the other part is for peaks within a second, restarts and slower machines. */
export const busyShare = 0.6;
/** Gateways and aggregators beyond the needed number: one may fail, or be replaced in an update. */
export const spareProcesses = 1;
/** Memory of Redis for each byte of counters: fragmentation, and buffers of replication. */
export const redisMemoryFactor = 1.5;
export const kafkaReplicas = 3;
/** Time for which `tollgate topics create` keeps events in Kafka. */
export const kafkaDays = 7;
/** Disk of ClickHouse for each byte of merged events: parts that are not merged yet, totals and free space for merges. */
export const clickhouseDiskFactor = 1.5;
/** Partitions for each aggregator, so that work can be distributed evenly and aggregators can be added. */
export const partitionsPerAggregator = 4;
const partitionsMin = 12;
const daySeconds = 86_400;

/** Computes the size of an installation. docs/capacity.md has the formulae. */
export function sizeOf(demand: Demand, figures: CapacityFigures): Size {
  const { peakPerSecond, meanPerSecond, tenants, retentionDays } = demand;
  const cores = (micros: number): number =>
    Math.max(1, Math.ceil((peakPerSecond * micros) / 1e6 / busyShare));
  const aggregators = cores(figures.aggregatorMicros) + spareProcesses;
  const eventsPerDay = meanPerSecond * daySeconds;
  const exactMicros = Math.max(figures.redisMicrosExact, figures.redisMicrosLarge);
  return {
    gateways: cores(figures.proxyMicros) + spareProcesses,
    redisMasters: cores(exactMicros),
    redisMastersLeased: cores(figures.redisMicrosLeased),
    redisBytes: Math.ceil(tenants * figures.redisBytesBusy * redisMemoryFactor),
    kafkaPartitions: Math.max(partitionsMin, aggregators * partitionsPerAggregator),
    kafkaBytes: Math.ceil(eventsPerDay * kafkaDays * figures.kafkaBytes * kafkaReplicas),
    aggregators,
    clickhouseCores: cores(figures.clickhouseMicros),
    clickhouseBytes: Math.ceil(eventsPerDay * retentionDays * figures.clickhouseBytes * clickhouseDiskFactor),
  };
}
