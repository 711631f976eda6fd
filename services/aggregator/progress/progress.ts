import type { LogEnd } from '../../../shared/kafka/offsets/topic-offsets.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** The part of one partition that is in ClickHouse. */
export interface PartitionProgress {
  readonly partition: number;
  /** Unix milliseconds: every record that the partition had by then is stored and counted. 0: not determined yet. */
  readonly completeThroughMs: number;
  /** Offset of the next record to read. */
  readonly offset: number;
}

export interface Progress {
  /** Reads the end of each partition from Kafka, and notes it with the time before the request. */
  sample(): Promise<void>;
  /** Notes that the records below this offset are stored and counted. */
  advance(partition: number, nextOffset: number): void;
  /** Adds the progress that an earlier process has stored. */
  restore(before: readonly PartitionProgress[]): void;
  of(partition: number): PartitionProgress;
  all(): readonly PartitionProgress[];
}

interface Partition {
  /** Ends of the partition with their time, oldest first. */
  samples: { readonly atMs: number; readonly end: number }[];
  completeThroughMs: number;
  offset: number;
}

/** Five minutes of samples, two a second. In a longer backlog every other sample is dropped. */
const samplesMax = 600;

/**
 * When all records below the end that a partition had at 12:00:00 are stored, the partition is complete through 12:00:00.
 * This relies neither on timestamps of records nor on the clocks of producers, and idle partitions advance too. Records
 * below a committed offset are stored, whichever member has committed it: offsets are committed last.
 *
 * Progress never becomes false later, so a process that was paused may continue to report it.
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
