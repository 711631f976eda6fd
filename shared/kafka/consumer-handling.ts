import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { ConsumerBlock, UnreadableBatch } from './consumer-buffer.ts';
import type { ConsumedBatch } from './consumer.ts';
import type { NewDeadLetter } from './dead-letter.ts';
import type { DeadLetterWriter } from './dead-letter-writer.ts';
import { backoffMs, pause } from './deadline.ts';
import { failureOf } from './failure.ts';
import type { Failure } from './failure.ts';
import type { ConsumedMessage } from './message.ts';
import type { ConsumerMetrics } from './metrics.ts';

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
/** After so many records in a row that failed for unknown reasons each further one waits: then it is not the records. */
const unexpectedInARowMax = 20;

/**
 * Handles a block so that no record in it can hold up the others. What could not be decoded goes to the dead letters, and
 * so does a record that a handler names. A batch whose content makes the handler fail is halved until that record is
 * alone; an outage is waited for instead, and never makes a dead letter.
 */
export function createHandling(options: HandlingOptions): Handling {
  const { group, onBatch, deadLetters, onAttempt, closing, metrics, logger } = options;
  let unexpectedInARow = 0;

  return {
    async handle(block) {
      const letters = block.unreadable.map((batch) => letterOfBatch(batch, group));
      return (await write(block, letters)) && (await handlePart(block, block.messages, 0));
    },
  };

  async function handlePart(
    block: ConsumerBlock,
    messages: readonly ConsumedMessage[],
    failedBefore: number,
  ): Promise<boolean> {
    let failed = failedBefore;
    let outages = 0;
    while (messages.length > 0) {
      if (!isWanted(block)) return false;
      try {
        const rejected = (await onBatch({ messages })) ?? [];
        unexpectedInARow = 0;
        return await write(
          block,
          rejected.map(({ message, reason }) => letterOf(message, reason, group)),
        );
      } catch (error) {
        metrics.batches.inc({ group, outcome: 'failed' });
        logger.error({ err: error, group, records: messages.length }, `a batch failed: ${messageOf(error)}`);
        onAttempt();
        const failure = failureOf(error);
        const times = failure === 'outage' ? (outages += 1) : (failed += 1);
        if (failure !== 'outage' && times >= attemptsMax[failure]) {
          return await divide(block, messages, { failed, failure, error });
        }
        await pause(backoffMs(times - 1, retryDelayMsMax), closing);
      }
    }
    return true;
  }

  async function divide(
    block: ConsumerBlock,
    messages: readonly ConsumedMessage[],
    { failed, failure, error }: { failed: number; failure: Failure; error: unknown },
  ): Promise<boolean> {
    const [only] = messages;
    if (messages.length === 1 && only !== undefined) {
      if (failure === 'unexpected' && (unexpectedInARow += 1) > unexpectedInARowMax) {
        await pause(retryDelayMsMax, closing);
        if (!isWanted(block)) return false;
      }
      return write(block, [letterOf(only, `could not be handled: ${messageOf(error)}`, group)]);
    }
    const middle = messages.length >> 1;
    return (
      (await handlePart(block, messages.slice(0, middle), failed)) &&
      (await handlePart(block, messages.slice(middle), failed))
    );
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
