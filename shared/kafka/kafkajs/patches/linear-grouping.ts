import type { Message } from 'kafkajs';

type Grouped = Record<string, Message[]>;
type Group = (result: Grouped, message: Message) => Grouped;

/**
 * Defect of kafkajs 2.2.4: it groups messages by partition with `reduce`, and copies the group for each message.
 * Symptom: 2,000 events of one tenant block the event loop of a gateway for 20 ms. This replacement of `reduce` calls
 * kafkajs with one message at a time and joins the results: the groups are the same, and the time is linear.
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
