import type { TopicRecord } from './record.ts';

export const resentHeader = 'tollgate-resent';

/**
 * Headers of a record of `tollgate.usage.v1` that Kafka may have already, because its gateway was stopped, or sends again after a
 * failure. The copies have the same value, and so the same spool run and sequence number.
 */
export const resentHeaders: Readonly<Record<string, string>> = { [resentHeader]: '1' };

export function isResent({ headers }: Pick<TopicRecord, 'headers'>): boolean {
  return headers[resentHeader] !== undefined;
}
