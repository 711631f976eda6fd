import type { LogEnd } from '../../../shared/kafka/offsets/topic-offsets.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';

/** Up to when one partition is known to be in ClickHouse. */
export interface PartitionProgress {
  readonly partition: number;
  /** Unix milliseconds: every record that Kafka had in this partition before is stored and counted. 0: not known. */
  readonly completeThroughMs: number;
  /** Next offset to be read. */
  readonly offset: number;
}

export interface Progress {
  /** Asks Kafka how long each partition is, and takes note together with the instant before asking. */
  sample(): Promise<void>;
  /** Records below these offsets are stored and counted. */
  advance(partition: number, nextOffset: number): void;
  /** What was known before this process started. */
  restore(known: readonly PartitionProgress[]): void;
  of(partition: number): PartitionProgress;
  all(): readonly PartitionProgress[];
}

interface Partition {
  /** Instants and how long the partition was then, oldest first. */
  samples: { readonly atMs: number; readonly end: number }[];
  completeThroughMs: number;
  offset: number;
}

/** Five minutes of samples at two a second; of a longer backlog every other one is forgotten. */
const samplesMax = 600;

/**
 * When the records below a partition's length of 12:00:00 are all stored, it is complete through 12:00:00. This
 * trusts neither timestamps of records nor the clocks of those who write them, and it moves on by itself where
 * nothing is written. What was committed, by whichever member, is stored too: offsets are committed last.
 *
 * A claim, once true, stays true, so a paused process that goes on later claims nothing wrong.
 */
export function createProgress(readEnds: () => Promise<readonly LogEnd[]>, clock: Clock): Progress {
  const partitions = new Map<number, Partition>();

  return {
    async sample() {
      const atMs = clock.now();
      for (const { partition, end, committed } of await readEnds()) {
        const known = knownOf(partition);
        known.samples.push({ atMs, end });
        if (known.samples.length > samplesMax)
          known.samples = known.samples.filter((_, index) => index % 2 === 1);
        settle(known, committed);
      }
    },
    advance: (partition, nextOffset) => settle(knownOf(partition), nextOffset),
    restore(before) {
      for (const { partition, completeThroughMs, offset } of before) {
        const known = knownOf(partition);
        known.completeThroughMs = Math.max(known.completeThroughMs, completeThroughMs);
        settle(known, offset);
      }
    },
    of: (partition) => report(partition, knownOf(partition)),
    all: () => [...partitions].map(([partition, known]) => report(partition, known)),
  };

  function knownOf(partition: number): Partition {
    const known = partitions.get(partition) ?? { samples: [], completeThroughMs: 0, offset: 0 };
    partitions.set(partition, known);
    return known;
  }
}

function settle(known: Partition, offset: number): void {
  known.offset = Math.max(known.offset, offset);
  let passed = 0;
  for (const { atMs, end } of known.samples) {
    if (end > known.offset) break;
    known.completeThroughMs = Math.max(known.completeThroughMs, atMs);
    passed += 1;
  }
  known.samples.splice(0, passed);
}

function report(partition: number, known: Partition): PartitionProgress {
  return { partition, completeThroughMs: known.completeThroughMs, offset: known.offset };
}
