import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { PartitionProgress, Progress } from './progress.ts';

export interface ProgressReport {
  /** True when the last report reached ClickHouse. */
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
/** Rows a second into a table of a few partitions: ClickHouse merges as many without noticing. */
const writeEverySamples = 4;

/**
 * Samples how long the topic is and writes up to when each partition is complete, busy or idle. A failure is logged
 * once and tried again at the next turn; what was written stays true meanwhile.
 */
export function reportProgress(options: ReportOptions): ProgressReport {
  const { progress, clickhouse, topic, clock, logger, onBehind } = options;
  let healthy = false;
  let closed = false;
  let restored = false;
  let turns = 0;
  let written = '';
  let running: Promise<void> = Promise.resolve();
  let timer = setTimeout(turn, 0);

  return {
    healthy: () => healthy,
    async close() {
      closed = true;
      clearTimeout(timer);
      await running;
    },
  };

  function turn(): void {
    running = step().finally(() => {
      if (!closed) timer = setTimeout(turn, sampleIntervalMs);
    });
  }

  async function step(): Promise<void> {
    try {
      if (!restored) progress.restore(await readProgress(clickhouse, topic));
      restored = true;
      await progress.sample();
      onBehind(secondsBehind());
      if (turns++ % writeEverySamples === 0) await write();
    } catch (error) {
      if (healthy) logger.warn({ err: error }, `progress is not reported: ${messageOf(error)}`);
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

  /** A partition of which nothing is known yet, as in the first moments of a new topic, is left out. */
  function secondsBehind(): number {
    const known = progress.all().filter(({ completeThroughMs }) => completeThroughMs > 0);
    if (known.length === 0) return 0;
    return (
      Math.max(0, clock.now() - Math.min(...known.map(({ completeThroughMs }) => completeThroughMs))) / 1000
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
