import { encodeNative } from '../../../shared/clickhouse/native.ts';
import { noCallUsage } from '../../../shared/domain/events/call-usage.ts';
import { storedEventColumns, usageColumns } from './stored-event.ts';
import type { StoredEvent } from './stored-event.ts';

/**
 * Some events of an insert, encoded. A block is inserted as several chunks in one statement, so that the objects of its
 * events live only until their chunk is encoded: garbage collection was a sixth of the aggregator's processor time when
 * they lived until the insert.
 */
export interface EventChunk {
  /** A block of ClickHouse's Native format. */
  readonly bytes: Buffer;
  /** False if the columns of `usageColumns` are missing, because all events have their default values. */
  readonly hasUsage: boolean;
  /** Returns the events, decoded again if necessary. Called only if ClickHouse refuses a value. */
  readonly events: () => readonly StoredEvent[];
}

export function encodeChunk(
  events: readonly StoredEvent[],
  ingestedAtMs: number,
  eventsAgain: () => readonly StoredEvent[] = () => events,
): EventChunk {
  const hasUsage = events.some(({ usage }) => usage !== noCallUsage);
  const columns = [...storedEventColumns(ingestedAtMs), ...(hasUsage ? usageColumns() : [])];
  return { bytes: encodeNative(columns, events), hasUsage, events: eventsAgain };
}

/** Names of the columns of these chunks. ClickHouse stores default values for the columns that a chunk lacks. */
export function columnNames(chunks: readonly EventChunk[]): string[] {
  const hasUsage = chunks.some((chunk) => chunk.hasUsage);
  return [...storedEventColumns(0), ...(hasUsage ? usageColumns() : [])].map(({ name }) => name);
}
