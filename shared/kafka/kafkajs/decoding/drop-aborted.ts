import { gap } from './log-entry.ts';
import type { LogEntry } from './log-entry.ts';

/** An aborted transaction, from the list in a fetch response for `read_committed` consumers. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/**
 * Replaces the records of aborted transactions by gaps. The filter of kafkajs 2.2.4 has two defects. If two aborted
 * transactions began before the fetch, it delivers a record of the second. And it treats a record with the key 00 00 00
 * 00 as the end of a transaction.
 */
export function dropAborted(
  entries: readonly LogEntry[],
  aborted: readonly AbortedTransaction[],
): readonly LogEntry[] {
  if (aborted.length === 0) return entries;
  const toBegin = aborted.toSorted((a, b) => b.firstOffset - a.firstOffset);
  const open = new Set<bigint>();
  return entries.map((entry) => {
    const offset = Number(entry.offset);
    for (let next = toBegin.at(-1); next !== undefined && next.firstOffset <= offset; next = toBegin.at(-1)) {
      open.add(next.producerId);
      toBegin.pop();
    }
    if (entry.kind === 'marker' && !entry.committed) open.delete(entry.transaction);
    const isAborted = entry.kind === 'record' && entry.transaction !== null && open.has(entry.transaction);
    return isAborted ? gap(offset) : entry;
  });
}
