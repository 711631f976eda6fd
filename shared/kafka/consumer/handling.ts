import type { NewDeadLetter } from '../../domain/topics/dead-letter.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { backoffMs, pause } from '../backoff.ts';
import type { DeadLetterWriter } from '../dead-letters/writer.ts';
import type { ConsumedMessage } from '../message.ts';
import type { ConsumerMetrics } from '../metrics.ts';
import type { ConsumerBlock, UnreadableBatch } from './buffer.ts';
import { attemptsMax, failureOf, retryDelayMsMax, roundsMax, unprovenMax } from './retry-policy.ts';
import type { Failure } from './retry-policy.ts';

export interface ConsumedBatch {
  /**
   * Records of one or more partitions; never empty. Within each partition they are in the order of the log, except for
   * the records of a transaction: they are delivered when the transaction is committed.
   */
  readonly messages: readonly ConsumedMessage[];
  /** True for one part of a failed batch: earlier records of that batch may not be handled yet. */
  readonly isPart: boolean;
}

/** A record that the handler rejected. */
export interface RejectedMessage {
  readonly message: ConsumedMessage;
  /** Reason for the rejection: one sentence for an operator. */
  readonly reason: string;
}

export type BatchHandler = (batch: ConsumedBatch) => Promise<readonly RejectedMessage[] | undefined>;

export interface HandlingOptions {
  readonly group: string;
  readonly onBatch: BatchHandler;
  readonly deadLetters: DeadLetterWriter;
  /** False once the partitions of the block have moved to another member. */
  readonly isCurrent: (block: ConsumerBlock) => boolean;
  /** Called at the end of each failed attempt. */
  readonly onAttempt: () => void;
  readonly closing: AbortSignal;
  readonly metrics: ConsumerMetrics;
  readonly logger: Logger;
}

export interface Handling {
  /**
   * Handles all records of a block. Returns false if the partitions of the block moved, or the consumer closed, before
   * all records were handled.
   */
  handle(block: ConsumerBlock): Promise<boolean>;
}

/** The state of a block while it is handled. */
interface Run {
  readonly block: ConsumerBlock;
  /** Records that were handled alone and failed with an unexpected error. */
  suspects: Suspect[];
  /** Records that were not tried yet, because too many records had failed alone before them. */
  untried: readonly ConsumedMessage[];
  /** A record that was handled successfully. Handling it again shows whether the handler works. */
  control: ConsumedMessage | null;
}

interface Suspect {
  readonly message: ConsumedMessage;
  readonly error: unknown;
}

/**
 * Handles a block so that no record delays the others. Batches that cannot be decoded, and records that the handler
 * rejects, become dead letters. If the content of a record makes the handler fail, the block is halved until that
 * record is alone, and the record becomes a dead letter. An outage never makes a dead letter: the block is retried
 * until the outage ends. An unexpected error is retried. A record that causes an unexpected error alone becomes a dead
 * letter only if the handler succeeds for another record meanwhile, or after a quarter of an hour (docs/decisions/115).
 */
export function createHandling(options: HandlingOptions): Handling {
  const { group, onBatch, deadLetters, onAttempt, closing, logger } = options;

  return {
    async handle(block) {
      const letters = block.unreadable.map((batch) => letterOfBatch(batch, group));
      const run: Run = { block, suspects: [], untried: [], control: null };
      return (
        (await writeDeadLetters(block, letters)) &&
        (await handlePart(run, block.messages, 0)) &&
        (await retrySuspects(run))
      );
    },
  };

  async function handlePart(
    run: Run,
    messages: readonly ConsumedMessage[],
    failedBefore: number,
  ): Promise<boolean> {
    const { block } = run;
    let failed = failedBefore;
    let outages = 0;
    while (messages.length > 0) {
      if (!isWanted(block)) return false;
      if (run.control === null && run.suspects.length >= unprovenMax) {
        run.untried = [...run.untried, ...messages];
        return true;
      }
      try {
        const rejected = (await onBatch(batchOf(messages, block))) ?? [];
        run.control = messages[0] ?? null;
        return await writeDeadLetters(
          block,
          rejected.map(({ message, reason }) => letterOf(message, reason, group)),
        );
      } catch (error) {
        const failure = noteFailure(options, error, messages.length);
        const times = failure === 'outage' ? (outages += 1) : (failed += 1);
        if (failure !== 'outage' && times >= attemptsMax[failure]) {
          return await divide(run, messages, { failed, failure, error });
        }
        await pause(backoffMs(times - 1, retryDelayMsMax), closing);
      }
    }
    return true;
  }

  async function divide(
    run: Run,
    messages: readonly ConsumedMessage[],
    { failed, failure, error }: { failed: number; failure: Failure; error: unknown },
  ): Promise<boolean> {
    const [only] = messages;
    if (messages.length === 1 && only !== undefined) {
      if (failure === 'content') {
        const reason = `could not be handled: ${messageOf(error)}`;
        return writeDeadLetters(run.block, [letterOf(only, reason, group)]);
      }
      run.suspects.push({ message: only, error });
      return true;
    }
    const middle = messages.length >> 1;
    return (
      (await handlePart(run, messages.slice(0, middle), failed)) &&
      (await handlePart(run, messages.slice(middle), failed))
    );
  }

  /** Retries suspects in rounds with growing delays, until each suspect is handled or becomes a dead letter. */
  async function retrySuspects(run: Run): Promise<boolean> {
    const { block } = run;
    for (let round = 1; run.suspects.length + run.untried.length > 0; round += 1) {
      await pause(backoffMs(round, retryDelayMsMax), closing);
      const hadControl = run.control !== null;
      // Untried records are handled first: one of them may succeed and become `run.control`.
      const open = [...run.untried, ...run.suspects.map(({ message }) => message)];
      run.suspects = [];
      run.untried = [];
      if (!(await handlePart(run, open, attemptsMax.unexpected))) return false;
      if (!hadControl && run.control !== null) round = 0;
      const dead = await findDead(run, round);
      if (dead.length === 0) continue;
      const letters = dead.map(({ message, error }) =>
        letterOf(message, `processing-failed: ${messageOf(error)}`, group),
      );
      if (!(await writeDeadLetters(block, letters))) return false;
      run.suspects = run.suspects.filter((suspect) => !dead.includes(suspect));
      round = 0;
    }
    return isWanted(block);
  }

  /**
   * Returns the suspects that become dead letters after this round. Returns at most one suspect while no record
   * succeeds.
   */
  async function findDead({ block, suspects, control }: Run, round: number): Promise<readonly Suspect[]> {
    if (round >= roundsMax.unproven) return suspects.slice(0, 1);
    const rounds = suspects.length > unprovenMax ? roundsMax.many : roundsMax.few;
    if (control === null || round < rounds || suspects.length === 0) return [];
    try {
      await onBatch(batchOf([control], block));
      return suspects;
    } catch (error) {
      noteFailure(options, error, 1);
      return [];
    }
  }

  async function writeDeadLetters(
    block: ConsumerBlock,
    letters: readonly Omit<NewDeadLetter, 'atMs'>[],
  ): Promise<boolean> {
    if (letters.length === 0) return true;
    for (let attempt = 0; isWanted(block); attempt += 1) {
      try {
        await deadLetters.write(letters);
        return true;
      } catch (error) {
        logger.error({ err: error, group }, `dead letters could not be written: ${messageOf(error)}`);
        onAttempt();
        await pause(backoffMs(attempt, retryDelayMsMax), closing);
      }
    }
    return false;
  }

  function isWanted(block: ConsumerBlock): boolean {
    return !closing.aborted && options.isCurrent(block);
  }
}

/** Counts and logs a failed attempt to handle records, and returns the kind of the failure. */
export function noteFailure(
  { group, metrics, logger, onAttempt }: Pick<HandlingOptions, 'group' | 'metrics' | 'logger' | 'onAttempt'>,
  error: unknown,
  records: number,
): Failure {
  const failure = failureOf(error);
  metrics.batches.inc({ group, outcome: 'failed' });
  if (failure === 'unexpected') metrics.unexpected.inc({ group });
  logger.error({ err: error, group, records, failure }, `a batch failed: ${messageOf(error)}`);
  onAttempt();
  return failure;
}

function batchOf(messages: readonly ConsumedMessage[], block: ConsumerBlock): ConsumedBatch {
  return { messages, isPart: messages.length < block.messages.length };
}

/** Returns the dead letter of a record that a consumer group could not handle. */
export function letterOf(
  { topic, partition, offset, key, keyBytes, headers, value }: ConsumedMessage,
  reason: string,
  group: string,
): Omit<NewDeadLetter, 'atMs'> {
  return {
    reason,
    topic,
    partition,
    offset,
    key: keyBytes ?? key,
    headers,
    value: value ?? Buffer.alloc(0),
    group,
  };
}

function letterOfBatch(batch: UnreadableBatch, group: string): Omit<NewDeadLetter, 'atMs'> {
  const { topic, partition, firstOffset, lastOffset, reason, bytes } = batch;
  return {
    reason: `a batch cannot be decoded: ${reason}`,
    topic,
    partition,
    offset: firstOffset,
    lastOffset,
    holds: 'batch',
    tenantId: null,
    key: null,
    value: bytes,
    group,
  };
}
