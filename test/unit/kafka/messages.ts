import type { ConsumedMessage } from '../../../shared/kafka/message.ts';

/** Empty records of one partition, with offsets from 0. */
export function messages(count: number): ConsumedMessage[] {
  return Array.from({ length: count }, (_, offset) => ({
    ...{ topic: 't', partition: 0, offset, key: null, value: null, headers: {}, timestampMs: 0 },
  }));
}
