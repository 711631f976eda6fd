import type { LogEnd } from '../../../shared/kafka/offsets/topic-offsets.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** Progress of one partition: which of its records are in ClickHouse. */
export interface PartitionProgress {
  readonly partition: number;
  /**
   * Unix milliseconds. Every record that the partition had at this time is stored and counted. 0: not determined yet.
   */
  readonly completeThroughMs: number;
  /** Offset of the next record to read. */
  readonly offset: number;
}

export interface Progress {
  /** Reads the end offset of each partition from Kafka, and keeps it in memory with the time just before the read. */
  sample(): Promise<void>;
  /** Notes that the records below this offset are stored and counted. */
  advance(partition: number, nextOffset: number): void;
  /** Adds the progress that an earlier process wrote to ClickHouse. */
  restore(before: readonly PartitionProgress[]): void;
  of(partition: number): PartitionProgress;
  all(): readonly PartitionProgress[];
}

interface Partition {
  /** End offsets of the partition and the times at which they were read, oldest first. */
  samples: { readonly atMs: number; readonly end: number }[];
  completeThroughMs: number;
  offset: number;
}

/** Largest number of end offsets kept for a partition. If a backlog leads to more, every second offset is dropped. */
const samplesMax = 600;

/**
 * If all records below the end offset that a partition had at 12:00:00 are stored, the partition is complete through
 * 12:00:00. This does not depend on timestamps of records or on the clocks of producers, and idle partitions advance
 * too. Records below a committed offset are stored, whichever member committed it, because offsets are committed last.
 *
 * A reported progress stays true, so a process that was paused may report it again.
 */
export function createProgress(readEnds: () => Promise<readonly LogEnd[]>, clock: Clock): Progress {
  const partitions = new Map<number, Partition>();

  return {
    async sample() {
      const atMs = clock.now();
      for (const { partition, end, committed } of await readEnds()) {
        const state = stateOf(partition);
        state.samples.push({ atMs, end });
        if (state.samples.length > samplesMax)
          state.samples = state.samples.filter((_, index) => index % 2 === 1);
        advanceTo(state, committed);
      }
    },
    advance: (partition, nextOffset) => advanceTo(stateOf(partition), nextOffset),
    restore(before) {
      for (const { partition, completeThroughMs, offset } of before) {
        const state = stateOf(partition);
        state.completeThroughMs = Math.max(state.completeThroughMs, completeThroughMs);
        advanceTo(state, offset);
      }
    },
    of: (partition) => report(partition, stateOf(partition)),
    all: () => [...partitions].map(([partition, state]) => report(partition, state)),
  };

  function stateOf(partition: number): Partition {
    const state = partitions.get(partition) ?? { samples: [], completeThroughMs: 0, offset: 0 };
    partitions.set(partition, state);
    return state;
  }
}

function advanceTo(state: Partition, offset: number): void {
  state.offset = Math.max(state.offset, offset);
  let passed = 0;
  for (const { atMs, end } of state.samples) {
    if (end > state.offset) break;
    state.completeThroughMs = Math.max(state.completeThroughMs, atMs);
    passed += 1;
  }
  state.samples.splice(0, passed);
}

function report(partition: number, state: Partition): PartitionProgress {
  return { partition, completeThroughMs: state.completeThroughMs, offset: state.offset };
}
