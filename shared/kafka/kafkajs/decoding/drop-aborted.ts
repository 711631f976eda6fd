import { gap } from './log-entry.ts';
import type { LogEntry } from './log-entry.ts';

/** A transaction that was aborted, as the broker lists them with what a reader of committed records fetches. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/**
 * Leaves out the records of aborted transactions. kafkajs has a filter of its own, which lets a record of the second of
 * two such transactions through when both began before the fetch, and takes a record with the key 00 00 00 00 for the end
 * of a transaction.
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
