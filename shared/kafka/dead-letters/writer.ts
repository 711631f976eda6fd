import type { Registry } from 'prom-client';
import type { Clock } from '../../runtime/time/clock.ts';
import { TollgateError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { deadLetterRecord } from '../../domain/topics/dead-letter.ts';
import type { NewDeadLetter } from '../../domain/topics/dead-letter.ts';
import { deadLetterMetrics } from '../metrics.ts';
import type { Producer } from '../producer/producer.ts';
import { sendInPieces } from '../producer/send-in-pieces.ts';
import type { Topics } from '../topics.ts';

export interface DeadLetterWriter {
  /**
   * Resolves when Kafka has the letters; from then on their records may be passed over. Rejects, and may then have
   * written some of them, when Kafka cannot be reached.
   */
  write(letters: readonly Omit<NewDeadLetter, 'atMs'>[]): Promise<void>;
}

export interface DeadLetterWriterOptions {
  readonly producer: Producer;
  readonly topics: Topics;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** How much of a value is kept where Kafka refuses the letter, in this order. */
const cutBytes = [64 * 1024, 0];
const logLinesMax = 20;

/** The one way to the dead-letter topic: every letter is counted by its topic, logged, and cut until Kafka takes it. */
export function createDeadLetterWriter(options: DeadLetterWriterOptions): DeadLetterWriter {
  const { producer, topics, clock, registry, logger } = options;
  const topic = topics.deadLetters;
  const { letters: counted } = deadLetterMetrics(registry);
  // From zero on, so that an alert sees the first letter as a rise.
  for (const name of Object.values<string>({ ...topics })) counted.inc({ topic: name }, 0);
  return { write };

  async function write(given: readonly Omit<NewDeadLetter, 'atMs'>[]): Promise<void> {
    if (given.length === 0) return;
    const letters = given.map((letter) => ({ ...letter, atMs: clock.now() }));
    try {
      await sendInPieces(
        producer,
        topic,
        letters.map((letter) => deadLetterRecord(letter)),
      );
    } catch (error) {
      if (!isRefused(error)) throw error;
      for (const letter of letters) await writeAlone(letter);
    }
    for (const letter of letters) counted.inc({ topic: letter.topic });
    for (const { topic: from, partition, offset, reason } of letters.slice(0, logLinesMax)) {
      logger.warn({ topic: from, partition, offset, reason }, 'dead letter');
    }
    if (letters.length > logLinesMax) logger.warn({ letters: letters.length }, 'and more dead letters');
  }

  async function writeAlone(letter: NewDeadLetter): Promise<void> {
    for (const bytesMax of [undefined, ...cutBytes]) {
      try {
        await producer.send(topic, [deadLetterRecord(letter, bytesMax)]);
        return;
      } catch (error) {
        if (!isRefused(error) || bytesMax === 0) throw error;
      }
    }
  }
}

function isRefused(error: unknown): boolean {
  return error instanceof TollgateError && error.code === 'KAFKA_RECORD_REFUSED';
}
