import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { PartitionProgress, Progress } from './progress.ts';

export interface ProgressReport {
  /** True when ClickHouse accepted the last report. */
  readonly healthy: () => boolean;
  close(): Promise<void>;
}

export interface ReportOptions {
  readonly progress: Progress;
  readonly clickhouse: ClickHouse;
  readonly topic: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onBehind: (seconds: number) => void;
}

const sampleIntervalMs = 250;
/** After this many samples, one row is written for each partition: one row a second is a small load for ClickHouse. */
const writeEverySamples = 4;

/**
 * Reads the ends of the topic regularly, and writes the instant up to which each partition is complete, also for idle
 * partitions. A failure is logged once, and the next sample is the retry. Meanwhile the progress that was written
 * before stays true.
 */
export function reportProgress(options: ReportOptions): ProgressReport {
  const { progress, clickhouse, topic, clock, logger, onBehind } = options;
  let healthy = false;
  let closed = false;
  let restored = false;
  let samples = 0;
  let written = '';
  let running: Promise<void> = Promise.resolve();
  let timer = setTimeout(run, 0);

  return {
    healthy: () => healthy,
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
    },
  };

  function run(): void {
    running = sample().finally(() => {
      if (!closed) timer = setTimeout(run, sampleIntervalMs);
    });
  }

  async function sample(): Promise<void> {
    try {
      if (!restored) progress.restore(await readProgress(clickhouse, topic));
      restored = true;
      await progress.sample();
      onBehind(secondsBehind());
      if (samples++ % writeEverySamples === 0) await write();
    } catch (error) {
      if (healthy) logger.warn({ err: error }, `progress could not be reported: ${messageOf(error)}`);
      healthy = false;
    }
  }

  async function write(): Promise<void> {
    const rows = progress.all().map(({ partition, completeThroughMs, offset }) => ({
      topic,
      kafka_partition: partition,
      complete_through: completeThroughMs,
      kafka_offset: offset,
    }));
    const text = JSON.stringify(rows);
    if (text !== written) await clickhouse.insert('pipeline_progress', rows);
    written = text;
    healthy = true;
  }

  /** Ignores partitions whose progress is not determined yet, for example in the first moments of a new topic. */
  function secondsBehind(): number {
    const partitions = progress.all().filter(({ completeThroughMs }) => completeThroughMs > 0);
    if (partitions.length === 0) return 0;
    return (
      Math.max(0, clock.now() - Math.min(...partitions.map(({ completeThroughMs }) => completeThroughMs))) /
      1000
    );
  }
}

async function readProgress(clickhouse: ClickHouse, topic: string): Promise<PartitionProgress[]> {
  return clickhouse.query<PartitionProgress>(
    `SELECT kafka_partition AS partition, toUnixTimestamp64Milli(complete_through) AS completeThroughMs, kafka_offset AS offset
    FROM pipeline_progress FINAL WHERE topic = {topic:String}`,
    { topic },
  );
}
