import { TollgateError } from '../../runtime/errors.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { Producer } from '../producer/producer.ts';
import { getDeadLetter, listDeadLetters } from './dead-letters.ts';
import type { StoredDeadLetter } from './dead-letters.ts';
import { replayDeadLetter, replayDeadLetters } from './replay.ts';
import type { ReplayReport, ReplaySelection } from './replay.ts';

/** A dead letter as the admin API and the operator console show it. */
export interface ShownDeadLetter {
  /** Its place on the dead-letter topic, as `partition-offset`. */
  readonly id: string;
  readonly at: string;
  readonly reason: string;
  /** Topic, partition and offset of the original record. */
  readonly from: string;
  /** The original value as text, shortened to `textLengthMax`. */
  readonly text: string;
  /** Length of the original value in bytes. */
  readonly bytes: number;
}

/**
 * `incomplete`: the dead letter holds only the beginning of its record, or names a topic that does not belong to
 * Tollgate.
 */
export type Replay = 'sent' | 'missing' | 'incomplete';

/** Lists dead letters and replays them. */
export interface DeadLetterService {
  /** Newest first. */
  list(limit: number): Promise<readonly ShownDeadLetter[]>;
  get(id: string): Promise<ShownDeadLetter | null>;
  /** Sends the original bytes to their original topic. Safe to repeat: events are deduplicated by their id. */
  replay(id: string): Promise<Replay>;
  /** Replays all selected dead letters in the same way. A dry run only counts them. */
  replayAll(selection: ReplaySelection): Promise<ReplayReport>;
}

export interface DeadLetterServiceOptions {
  readonly kafka: Kafka;
  readonly producer: Producer;
  /** The dead-letter topic. */
  readonly topic: string;
}

const textLengthMax = 10_000;

export function createDeadLetterService({
  kafka,
  producer,
  topic,
}: DeadLetterServiceOptions): DeadLetterService {
  return {
    list: async (limit) => (await listDeadLetters(kafka, topic, { limit })).map(shown),
    async get(id) {
      const letter = await getDeadLetter(kafka, topic, id);
      return letter === null ? null : shown(letter);
    },
    async replay(id) {
      try {
        return (await replayDeadLetter({ kafka, producer, topic }, id)) ? 'sent' : 'missing';
      } catch (error) {
        if (error instanceof TollgateError && error.code === 'KAFKA_RECORD_REFUSED') return 'incomplete';
        throw error;
      }
    },
    replayAll: (selection) => replayDeadLetters({ kafka, producer, topic }, selection),
  };
}

function shown(letter: StoredDeadLetter): ShownDeadLetter {
  const position =
    letter.partition === null ? 'before it reached Kafka' : `${letter.partition}-${letter.offset ?? '?'}`;
  return {
    id: letter.id,
    at: new Date(letter.atMs).toISOString(),
    reason: letter.reason,
    from: `${letter.topic || 'unknown'} (${position})`,
    text: letter.value.toString('utf8').slice(0, textLengthMax),
    bytes: letter.bytes,
  };
}
