import type { Registry } from 'prom-client';
import type { TollgateError } from '../../runtime/errors.ts';
import { messageOf } from '../../runtime/errors.ts';
import { backoffMs, pause } from '../backoff.ts';
import type { DeadLetterWriter } from '../dead-letters/writer.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { consumerMetrics } from '../metrics.ts';
import { createConsumerBuffer } from './buffer.ts';
import type { ConsumerBlock } from './buffer.ts';
import { createCommitPositions } from './commit-positions.ts';
import { createHandling, noteFailure } from './handling.ts';
import type { BatchHandler, HandlingOptions } from './handling.ts';
import { createReadToEnd } from './read-to-end.ts';
import { retryDelayMsMax } from './retry-policy.ts';
import { allStages, runStages } from './stages.ts';
import type { BatchStages } from './stages.ts';
import { superviseConsumer } from './supervisor.ts';
import { watchProgress } from './watchdog.ts';
import type { Lag } from './watchdog.ts';

export interface ConsumerOptions<Work = never> {
  readonly topic: string | readonly string[];
  readonly groupId: string;
  /** Name of the group in metrics, for a `groupId` that is not a constant. */
  readonly groupLabel?: string;
  /**
   * Handles a batch. Batches are handled one at a time; the same records may be delivered again, also in other batches.
   * When the handler resolves, the records that it rejects become dead letters and the batch is committed. When the
   * handler fails, `handling.ts` retries: the same batch after an outage (every 0.1 to 5 s), or halves of the batch if
   * its content is the cause. No other layer retries a batch. With stages, a batch is handled when its last stage is
   * complete, and the next batches are handled meanwhile.
   */
  readonly onBatch: BatchHandler | BatchStages<Work>;
  /** Receives the records that cannot be decoded or handled, so that they do not delay other records. */
  readonly deadLetters: DeadLetterWriter;
  /**
   * Called after each rebalance with the partitions of this member, by topic; called with null while the member has no
   * partitions. For handlers that keep state by partition: batches of a new assignment are delivered only after this
   * call.
   */
  readonly onAssignment?: (partitions: ReadonlyMap<string, readonly number[]> | null) => void;
  readonly registry: Registry;
  /** Largest number of records in a batch. */
  readonly batchRecordsMax?: number;
  /** Largest number of bytes in a batch. */
  readonly batchBytesMax?: number;
  /**
   * Longest time for which the first record of a batch waits for further records; `buffer.ts` says when it waits less.
   * While a batch is handled, the next batch is fetched.
   */
  readonly lingerMs?: number;
  /** After this time without a heartbeat, Kafka assigns the partitions of the member to other members. */
  readonly sessionTimeoutMs?: number;
  /**
   * Called once with KAFKA_STALLED if records wait and Kafka responds, but for `stalledAfterMs` no offset was committed,
   * no later stage made progress and no attempt to handle a batch failed. The process has to exit: a new process starts
   * without the broken state.
   */
  readonly onStalled: (error: TollgateError) => void;
  readonly stalledAfterMs?: number;
}

export interface Consumer {
  /** True while this member has joined its group. */
  joined(): boolean;
  /** The lag at the last reading, which is a few seconds old; null until Kafka was reached. */
  lag(): Lag | null;
  /** Waits until the current batch is handled (at most `closeTimeoutMs`), commits it, and leaves the group. */
  close(): Promise<void>;
}

const commitAttemptsMax = 5;
/**
 * Largest number of blocks that may wait for later stages or for their commit, to limit the memory. It is larger than
 * the number of blocks that a stage gathers, so that storing continues while it handles them.
 */
const begunBlocksMax = 6;
const closeTimeoutMs = 8_000;
const fetchBounds = { partitionBytesMax: 1024 * 1024, fetchBytesMax: 10 * 1024 * 1024 };

/**
 * Consumes until it is closed. Starts while Kafka is down, waits for it, and joins again after every outage. Delivers
 * at least once: offsets are committed after the handler has resolved, and only in the group generation that delivered
 * the records. So no offset is committed for a partition that has moved to another member.
 */
export function runConsumer<Work = never>(kafka: Kafka, options: ConsumerOptions<Work>): Consumer {
  const { groupId, groupLabel: group = groupId, registry, onBatch } = options;
  const { batchRecordsMax = 10_000, batchBytesMax = 16 * 1024 * 1024, lingerMs = 0 } = options;
  const topics = typeof options.topic === 'string' ? [options.topic] : options.topic;
  const held = typeof onBatch === 'function' ? undefined : onBatch.held;
  const metrics = consumerMetrics(registry, group);
  const closing = new AbortController();
  const buffer = createConsumerBuffer({ batchRecordsMax, batchBytesMax, lingerMs, signal: closing.signal });
  let assignment: ReadonlyMap<string, readonly number[]> | null = null;
  const [positions, readToEnd] = [createCommitPositions(held), createReadToEnd(held)];
  let onGeneration: () => void = () => undefined;

  const supervisor = superviseConsumer(
    kafka,
    {
      groupId,
      groupLabel: group,
      topics,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
      logger: kafka.logger,
      restarts: metrics.restarts,
      ...fetchBounds,
      transactions: { onOverflow: noteOverflow },
    },
    {
      onAssigned: (partitions) => assign(partitions),
      onRevoked: () => assign(null),
      onFetched: (fetched) => buffer.add(fetched),
      waitForRoom: (heartbeat) => buffer.waitForRoom(heartbeat),
    },
  );
  const watchdog = watchProgress(kafka, {
    groupId,
    topics,
    stalledAfterMs: options.stalledAfterMs ?? 120_000,
    assignment: () => assignment,
    oldestWaitingMs: () => buffer.oldestMs() ?? held?.oldestMs() ?? null,
    isHolding: () => supervisor.isHolding() && buffer.records() === 0,
    onLag: noteLag,
    onStalled: options.onStalled,
  });
  const common = {
    group,
    deadLetters: options.deadLetters,
    isCurrent: (block: ConsumerBlock) => buffer.isCurrent(block),
    onAttempt: () => watchdog.noteProgress(),
    closing: closing.signal,
    metrics,
    logger: kafka.logger,
  } satisfies Omit<HandlingOptions, 'onBatch'>;
  const running = typeof onBatch === 'function' ? handleBlocks(onBatch) : handleInStages(onBatch);

  return { joined: () => assignment !== null, lag: () => watchdog.lag(), close };

  function assign(partitions: ReadonlyMap<string, readonly number[]> | null): void {
    assignment = partitions;
    if (partitions !== null) metrics.rebalances.inc({ group });
    buffer.beginGeneration();
    onGeneration();
    positions.clear();
    readToEnd.clear();
    options.onAssignment?.(partitions);
  }

  function noteLag({ messages, seconds, partitions }: Lag, readAtMs: number): void {
    readToEnd.noteEnds(partitions, readAtMs);
    metrics.partitionLag(group, partitions);
    metrics.lagMessages.set({ group }, messages);
    metrics.lagSeconds.set({ group }, seconds);
    metrics.buffered.set({ group }, buffer.records());
  }

  function noteOverflow(records: number): void {
    metrics.overflows.inc({ group }, records);
    kafka.logger.warn(
      { group, records },
      'an open transaction is too large to be held back and is treated as committed',
    );
  }

  async function handleBlocks(handler: BatchHandler): Promise<void> {
    const handling = createHandling({ ...common, onBatch: handler });
    for (;;) {
      const block = await buffer.next();
      if (block === null) return;
      if (await handling.handle(block)) await commit([block]);
      else abandon(block);
    }
  }

  async function handleInStages(stages: BatchStages<Work>): Promise<void> {
    let works: Work[] = [];
    const first = createHandling({
      ...common,
      async onBatch(batch) {
        works.push(await stages.begin(batch));
        return undefined;
      },
    });
    const again = createHandling({ ...common, onBatch: allStages(stages, common.onAttempt) });
    const later = runStages<Work>({
      later: stages.later,
      handleAgain: (block) => again.handle(block),
      openBlocksMax: begunBlocksMax,
      isBehind: () => buffer.isFull(),
      onIdle: () => buffer.recheck(),
      isCurrent: common.isCurrent,
      onFailure: (error, records) => noteFailure(common, error, records),
      noteProgress: common.onAttempt,
      onAbandoned: abandon,
      commit,
      closing: closing.signal,
    });
    onGeneration = () => later.recheck();
    for (;;) {
      await later.untilAtMost(begunBlocksMax - 1);
      const block = await buffer.next(held?.untilDueMs() ?? Infinity, () => later.isBusy());
      if (block === null) break;
      if (buffer.isCurrent(block)) readToEnd.noteBegun(block);
      if (block.offsets.length === 0 && (held?.untilDueMs() ?? 0) > 0) continue;
      works = [];
      if (block.messages.length === 0 && !(await beginEmpty(block))) continue;
      if (await first.handle(block)) later.add({ block, works });
      else abandon(block);
    }
    await later.end();

    /** Returns false if it failed. It is repeated with a later block. */
    async function beginEmpty(block: ConsumerBlock): Promise<boolean> {
      try {
        works.push(await stages.begin({ messages: block.messages, isPart: false }));
        return true;
      } catch (error) {
        noteFailure(common, error, 0);
        await pause(retryDelayMsMax, closing.signal);
        return block.offsets.length > 0;
      }
    }
  }

  function abandon(block: ConsumerBlock): void {
    buffer.finish(block);
    metrics.batches.inc({ group, outcome: 'abandoned' });
  }

  async function commit(blocks: readonly ConsumerBlock[]): Promise<void> {
    const offsets = positions.handled(blocks);
    const isCurrent = (): boolean => blocks.every((block) => buffer.isCurrent(block));
    for (let attempt = 0; attempt < commitAttemptsMax; attempt += 1) {
      if (!isCurrent()) break;
      try {
        if (offsets.length > 0) await supervisor.commit(offsets);
        positions.committed(offsets);
        watchdog.noteProgress();
        for (const block of blocks) {
          buffer.finish(block);
          metrics.records.inc({ group }, block.messages.length);
          metrics.batches.inc({ group, outcome: 'committed' });
        }
        return;
      } catch (error) {
        kafka.logger.warn({ err: error, group }, `offsets could not be committed: ${messageOf(error)}`);
        await pause(backoffMs(attempt, retryDelayMsMax));
      }
    }
    // The next session continues from the committed offsets and so delivers the blocks again.
    if (isCurrent()) supervisor.restart();
    for (const block of blocks) abandon(block);
  }

  async function close(): Promise<void> {
    closing.abort();
    await Promise.race([running, pause(closeTimeoutMs)]);
    await watchdog.close();
    await supervisor.close();
  }
}
