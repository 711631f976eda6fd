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
   * Resolves when Kafka has the dead letters: then the offsets of their records may be committed. Rejects when Kafka
   * cannot be reached; some of the dead letters may be written in that case.
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

/** Largest lengths of the value. When Kafka refuses a dead letter, the next smaller length is tried. */
const cutBytes = [64 * 1024, 0];
const logLinesMax = 20;

/**
 * The only code that writes to the dead-letter topic. Counts each dead letter by its original topic, logs it, and
 * shortens its value until Kafka accepts it.
 */
export function createDeadLetterWriter(options: DeadLetterWriterOptions): DeadLetterWriter {
  const { producer, topics, clock, registry, logger } = options;
  const topic = topics.deadLetters;
  const { letters: counted } = deadLetterMetrics(registry);
  // The counter starts at zero, so that Prometheus sees the first dead letter as an increase and can alert.
  for (const name of Object.values<string>({ ...topics })) counted.inc({ topic: name }, 0);
  return { write };

  async function write(written: readonly Omit<NewDeadLetter, 'atMs'>[]): Promise<void> {
    if (written.length === 0) return;
    const letters = written.map((letter) => ({ ...letter, atMs: clock.now() }));
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
