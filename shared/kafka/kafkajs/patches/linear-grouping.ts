import type { Message } from 'kafkajs';

type Grouped = Record<string, Message[]>;
type Group = (result: Grouped, message: Message) => Grouped;

/**
 * Messages for kafkajs 2.2.4, which groups them by partition with `reduce` and copies a group for each message that joins
 * it: 2,000 events of one tenant take 20 ms of a gateway's event loop. Here `reduce` gives each message to kafkajs alone,
 * and joins what it answers: the same groups in linear time.
 */
export class LinearlyGrouped extends Array<Message> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  override reduce(group: unknown): never {
    const groups: Grouped = {};
    for (const message of this) {
      for (const [partition, messages] of Object.entries((group as Group)({}, message))) {
        (groups[partition] ??= []).push(...messages);
      }
    }
    return groups as never;
  }
}
