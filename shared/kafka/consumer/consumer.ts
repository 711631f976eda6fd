import type { Registry } from 'prom-client';
import type { TollgateError } from '../../runtime/errors.ts';
import { messageOf } from '../../runtime/errors.ts';
import { createConsumerBuffer } from './buffer.ts';
import type { ConsumerBlock } from './buffer.ts';
import { createHandling } from './handling.ts';
import type { RejectedMessage } from './handling.ts';
import { superviseConsumer } from './supervisor.ts';
import { watchProgress } from './watchdog.ts';
import type { DeadLetterWriter } from '../dead-letters/writer.ts';
import { backoffMs, pause } from '../kafkajs/deadline.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { ConsumedMessage } from '../message.ts';
import { consumerMetrics } from '../metrics.ts';

export interface ConsumedBatch {
  /** Of one or many partitions; in order within each, but for a transaction's, which come once it is committed. Never empty. */
  readonly messages: readonly ConsumedMessage[];
  /** A part of a batch that failed: records before these may still wait. */
  readonly isPart: boolean;
}

export interface ConsumerOptions {
  readonly topic: string | readonly string[];
  readonly groupId: string;
  /** Name of the group in metrics, where `groupId` is not a constant. */
  readonly groupLabel?: string;
  /**
   * Handles a batch; batches come one at a time. When it resolves, the batch is committed, and the records it names have
   * gone to the dead letters. When it rejects because of an outage, the same batch comes again after a growing delay (0.1
   * to 5 s), for as long as its partitions are this member's; when it rejects because of what is in the batch
   * (`failure.ts`), the batch is halved until the record is alone, and that becomes a dead letter. An error that is neither
   * is tried again, see `consumer-handling.ts`. This is the one place where a failed batch is tried again. A batch may come
   * more than once, and in other cuts.
   */
  readonly onBatch: (batch: ConsumedBatch) => Promise<readonly RejectedMessage[] | undefined>;
  /** Takes what cannot be decoded or handled, so that the records behind it are. */
  readonly deadLetters: DeadLetterWriter;
  /**
   * Called with what this member holds, by topic, each time the group has settled, and with null when it holds nothing
   * for now. For handlers that keep a state by partition; batches of a new assignment come after the call.
   */
  readonly onAssignment?: (partitions: ReadonlyMap<string, readonly number[]> | null) => void;
  readonly registry: Registry;
  /** A batch is handed over when it has this many records, … */
  readonly batchRecordsMax?: number;
  /** … or this many bytes, … */
  readonly batchBytesMax?: number;
  /** … or when its first record has waited this long. While a batch is handled, the next is being fetched. */
  readonly lingerMs?: number;
  /** Without a heartbeat for this long the member is taken for dead and its partitions move. */
  readonly sessionTimeoutMs?: number;
  /**
   * Called once with KAFKA_STALLED when records wait, Kafka answers, and for `stalledAfterMs` nothing was committed
   * and no attempt to handle a batch ended. The process has to exit: a new one starts clean.
   */
  readonly onStalled: (error: TollgateError) => void;
  readonly stalledAfterMs?: number;
}

export interface Lag {
  /** Records not committed on the partitions of this member (of the whole topic, while it has not joined). */
  readonly messages: number;
  /** Age of the oldest of them. */
  readonly seconds: number;
}

export interface Consumer {
  /** True while this member has joined its group. */
  joined(): boolean;
  /** As last seen, at most some seconds ago; null when Kafka has not been reached yet. */
  lag(): Lag | null;
  /** Lets the batch being handled end (within `closeTimeoutMs`), commits it, leaves the group. */
  close(): Promise<void>;
}

const retryDelayMsMax = 5_000;
const commitAttemptsMax = 5;
const closeTimeoutMs = 8_000;

/**
 * Consumes until closed, whatever happens to Kafka: starts without it, waits for it, joins again. At least once: the
 * offsets of a batch are committed after its handler resolved, and only in the generation that delivered it, so
 * never for a partition that has moved to another member.
 */
export function runConsumer(kafka: Kafka, options: ConsumerOptions): Consumer {
  const { groupId, groupLabel: group = groupId, registry } = options;
  const { batchRecordsMax = 10_000, batchBytesMax = 16 * 1024 * 1024, lingerMs = 0 } = options;
  const { sessionTimeoutMs = 10_000, stalledAfterMs = 120_000 } = options;
  const topics = typeof options.topic === 'string' ? [options.topic] : options.topic;
  const metrics = consumerMetrics(registry);
  const closing = new AbortController();
  const buffer = createConsumerBuffer({ batchRecordsMax, batchBytesMax, lingerMs, signal: closing.signal });
  let assignment: ReadonlyMap<string, readonly number[]> | null = null;

  const supervisor = superviseConsumer(
    kafka,
    {
      groupId,
      groupLabel: group,
      topics,
      sessionTimeoutMs,
      logger: kafka.logger,
      restarts: metrics.restarts,
      partitionBytesMax: 1024 * 1024,
      fetchBytesMax: 10 * 1024 * 1024,
      transactions: { onOverflow: noteOverflow },
    },
    {
      onAssigned(partitions) {
        assignment = partitions;
        metrics.rebalances.inc({ group });
        buffer.beginGeneration();
        options.onAssignment?.(partitions);
      },
      onRevoked() {
        assignment = null;
        buffer.beginGeneration();
        options.onAssignment?.(null);
      },
      onFetched: (fetched) => buffer.add(fetched),
      room: (heartbeat) => buffer.room(heartbeat),
    },
  );
  const watchdog = watchProgress(kafka, {
    groupId,
    topics,
    stalledAfterMs,
    assignment: () => assignment,
    oldestWaitingMs: () => buffer.oldestMs(),
    isHolding: () => supervisor.isHolding() && buffer.records() === 0,
    onLag({ messages, seconds }) {
      metrics.lagMessages.set({ group }, messages);
      metrics.lagSeconds.set({ group }, seconds);
      metrics.buffered.set({ group }, buffer.records());
    },
    onStalled: options.onStalled,
  });
  const work = createHandling({
    group,
    onBatch: options.onBatch,
    deadLetters: options.deadLetters,
    isCurrent: (block) => buffer.isCurrent(block),
    onAttempt: () => watchdog.attemptEnded(),
    closing: closing.signal,
    metrics,
    logger: kafka.logger,
  });
  const handling = handleBlocks();

  return { joined: () => assignment !== null, lag: () => watchdog.lag(), close };

  function noteOverflow(records: number): void {
    metrics.overflows.inc({ group }, records);
    kafka.logger.warn(
      { group, records },
      'an open transaction is too large to be held back: it is taken as committed',
    );
  }

  async function handleBlocks(): Promise<void> {
    for (;;) {
      const block = await buffer.take();
      if (block === null) return;
      if (!(await work.handle(block))) {
        metrics.batches.inc({ group, outcome: 'abandoned' });
        continue;
      }
      await commit(block);
    }
  }

  async function commit(block: ConsumerBlock): Promise<void> {
    for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
      if (!buffer.isCurrent(block)) break;
      try {
        await supervisor.commit(block.offsets);
        buffer.done(block);
        watchdog.attemptEnded();
        metrics.records.inc({ group }, block.messages.length);
        metrics.batches.inc({ group, outcome: 'committed' });
        return;
      } catch (error) {
        kafka.logger.warn({ err: error, group }, `offsets could not be committed: ${messageOf(error)}`);
        await pause(backoffMs(attempt, retryDelayMsMax));
      }
    }
    metrics.batches.inc({ group, outcome: 'abandoned' });
    // Joining again reads on from what is committed: the block comes once more.
    if (buffer.isCurrent(block)) supervisor.restart();
  }

  async function close(): Promise<void> {
    closing.abort();
    await Promise.race([handling, pause(closeTimeoutMs)]);
    await watchdog.close();
    await supervisor.close();
  }
}
