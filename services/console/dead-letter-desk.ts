import {
  getDeadLetter,
  listDeadLetters,
  replayDeadLetter,
} from '../../shared/kafka/dead-letters/dead-letters.ts';
import type { FiledDeadLetter } from '../../shared/kafka/dead-letters/dead-letters.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import type { Producer } from '../../shared/kafka/producer/producer.ts';
import { replayDeadLetters } from '../../shared/kafka/dead-letters/replay.ts';
import type { ReplayReport, ReplaySelection } from '../../shared/kafka/dead-letters/replay.ts';
import { TollgateError } from '../../shared/runtime/errors.ts';

/** A message that could not be read, as people look at it. */
export interface DeadLetter {
  /** `partition-offset` on the dead-letter topic. */
  readonly id: string;
  readonly at: string;
  readonly reason: string;
  /** Where it came from: topic, partition, offset. */
  readonly from: string;
  /** The original value as text, cut where it is long. */
  readonly text: string;
  /** Length of the original value. */
  readonly bytes: number;
}

/** `incomplete`: the letter holds only the beginning of its record, or names a topic that is not Tollgate’s. */
export type Replay = 'sent' | 'missing' | 'incomplete';

export interface DeadLetterDesk {
  list(limit: number): Promise<readonly DeadLetter[]>;
  show(id: string): Promise<DeadLetter | null>;
  /** Puts the original bytes back on the topic they came from. Safe to repeat: events are recognised by their id. */
  replay(id: string): Promise<Replay>;
  /** The same for all that are selected; may only count them. */
  replayAll(selection: ReplaySelection): Promise<ReplayReport>;
}

export interface DeadLetterDeskOptions {
  readonly kafka: Kafka;
  readonly producer: Producer;
  /** The dead-letter topic. */
  readonly topic: string;
}

const textLengthMax = 10_000;

export function createDeadLetterDesk({ kafka, producer, topic }: DeadLetterDeskOptions): DeadLetterDesk {
  return {
    list: async (limit) => (await listDeadLetters(kafka, topic, { limit })).map(shown),
    async show(id) {
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

function shown(letter: FiledDeadLetter): DeadLetter {
  const place =
    letter.partition === null ? 'before it got there' : `${letter.partition}-${letter.offset ?? '?'}`;
  return {
    id: letter.id,
    at: new Date(letter.atMs).toISOString(),
    reason: letter.reason,
    from: `${letter.topic || 'unknown'} (${place})`,
    text: letter.value.toString('utf8').slice(0, textLengthMax),
    bytes: letter.bytes,
  };
}
