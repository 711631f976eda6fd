import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { ConsumerBlock, UnreadableBatch } from './buffer.ts';
import type { ConsumedBatch } from './consumer.ts';
import type { NewDeadLetter } from '../dead-letters/dead-letter.ts';
import type { DeadLetterWriter } from '../dead-letters/writer.ts';
import { backoffMs, pause } from '../kafkajs/deadline.ts';
import { failureOf } from './failure.ts';
import type { Failure } from './failure.ts';
import type { ConsumedMessage } from '../message.ts';
import type { ConsumerMetrics } from '../metrics.ts';

/** A record that a handler found to be of no use. */
export interface RejectedMessage {
  readonly message: ConsumedMessage;
  /** One sentence for a person. */
  readonly reason: string;
}

export interface HandlingOptions {
  readonly group: string;
  readonly onBatch: (batch: ConsumedBatch) => Promise<readonly RejectedMessage[] | undefined>;
  readonly deadLetters: DeadLetterWriter;
  /** False once the block's partitions moved. */
  readonly isCurrent: (block: ConsumerBlock) => boolean;
  /** An attempt came to an end, whatever its outcome. */
  readonly onAttempt: () => void;
  readonly closing: AbortSignal;
  readonly metrics: ConsumerMetrics;
  readonly logger: Logger;
}

export interface Handling {
  /** False when the block's partitions moved, or the consumer closed, before all of it was handled. */
  handle(block: ConsumerBlock): Promise<boolean>;
}

const retryDelayMsMax = 5_000;
/** Attempts of a whole batch before it is halved. What is not known to be content may pass by itself. */
const attemptsMax = { content: 2, unexpected: 6 } as const;
/** Records that failed alone, before any other was handled: then it is not the records, and halving ends. */
const unprovenMax = 20;
/** Rounds in which a record that fails for an unknown reason is tried again; with the delays between them … */
const roundsMax = {
  /** … some ten seconds, where few records fail and others are handled, */
  few: 6,
  /** five minutes, where more than `unprovenMax` fail: a kind of records, or a part of what the handler needs, */
  many: 60,
  /** a quarter of an hour, where no other record is handled either. */
  unproven: 182,
} as const;

/** A block while it is handled. */
interface Run {
  readonly block: ConsumerBlock;
  /** Failed alone, for a reason that is not known. */
  suspects: Suspect[];
  /** Not tried alone yet, because of too many suspects. */
  others: readonly ConsumedMessage[];
  /** A record that was handled: handled again, it shows that the handler works. */
  control: ConsumedMessage | null;
}

interface Suspect {
  readonly message: ConsumedMessage;
  readonly error: unknown;
}

/**
 * Handles a block so that no record in it can hold up the others. What could not be decoded goes to the dead letters, and
 * so does a record that a handler names. A batch whose content makes the handler fail is halved until that record is
 * alone; an outage is waited for instead, and never makes a dead letter. An unexpected error is tried again; a record that
 * alone keeps causing it becomes a dead letter only when the handler is seen to work for another record at that time, or
 * after a quarter of an hour (docs/decisions/115).
 */
export function createHandling(options: HandlingOptions): Handling {
  const { group, onBatch, deadLetters, onAttempt, closing, metrics, logger } = options;
  // From zero on, so that an alert sees the first one as a rise.
  metrics.unexpected.inc({ group }, 0);

  return {
    async handle(block) {
      const letters = block.unreadable.map((batch) => letterOfBatch(batch, group));
      const run: Run = { block, suspects: [], others: [], control: null };
      return (
        (await write(block, letters)) &&
        (await handlePart(run, block.messages, 0)) &&
        (await settleSuspects(run))
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
        run.others = [...run.others, ...messages];
        return true;
      }
      try {
        const rejected = (await onBatch(batchOf(messages, block))) ?? [];
        run.control = messages[0] ?? null;
        return await write(
          block,
          rejected.map(({ message, reason }) => letterOf(message, reason, group)),
        );
      } catch (error) {
        const failure = noteFailure(error, messages.length);
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
        return write(run.block, [letterOf(only, `could not be handled: ${messageOf(error)}`, group)]);
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

  /** Tries again what failed for unknown reasons, in rounds with growing delays, until it passes or is a dead letter. */
  async function settleSuspects(run: Run): Promise<boolean> {
    const { block } = run;
    for (let round = 1; run.suspects.length + run.others.length > 0; round += 1) {
      await pause(backoffMs(round, retryDelayMsMax), closing);
      const hadControl = run.control !== null;
      // Those not tried alone yet come first: one of them may be handled.
      const open = [...run.others, ...run.suspects.map(({ message }) => message)];
      run.suspects = [];
      run.others = [];
      if (!(await handlePart(run, open, attemptsMax.unexpected))) return false;
      if (!hadControl && run.control !== null) round = 0;
      const dead = await deadAfter(run, round);
      if (dead.length === 0) continue;
      const letters = dead.map(({ message, error }) =>
        letterOf(message, `processing-failed: ${messageOf(error)}`, group),
      );
      if (!(await write(block, letters))) return false;
      run.suspects = run.suspects.filter((suspect) => !dead.includes(suspect));
      round = 0;
    }
    return isWanted(block);
  }

  /** Where no other record is handled, one at a time: it may be our code or what it needs. */
  async function deadAfter({ block, suspects, control }: Run, round: number): Promise<readonly Suspect[]> {
    if (round >= roundsMax.unproven) return suspects.slice(0, 1);
    const rounds = suspects.length > unprovenMax ? roundsMax.many : roundsMax.few;
    if (control === null || round < rounds || suspects.length === 0) return [];
    try {
      await onBatch(batchOf([control], block));
      return suspects;
    } catch (error) {
      noteFailure(error, 1);
      return [];
    }
  }

  function noteFailure(error: unknown, records: number): Failure {
    const failure = failureOf(error);
    metrics.batches.inc({ group, outcome: 'failed' });
    if (failure === 'unexpected') metrics.unexpected.inc({ group });
    logger.error({ err: error, group, records, failure }, `a batch failed: ${messageOf(error)}`);
    onAttempt();
    return failure;
  }

  async function write(
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

function batchOf(messages: readonly ConsumedMessage[], block: ConsumerBlock): ConsumedBatch {
  return { messages, isPart: messages.length < block.messages.length };
}

function letterOf(message: ConsumedMessage, reason: string, group: string): Omit<NewDeadLetter, 'atMs'> {
  const { topic, partition, offset, key, keyBytes, headers, value } = message;
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
