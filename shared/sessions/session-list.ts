import { readSessionEntry } from '../domain/topics/session-entry.ts';
import type { SessionEntry } from '../domain/topics/session-entry.ts';
import type { Kafka } from '../kafka/kafkajs/kafka.ts';
import type { Producer } from '../kafka/producer/producer.ts';
import { readTable } from '../kafka/tables/table.ts';
import type { Table } from '../kafka/tables/table.ts';
import type { Topics } from '../kafka/topics.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { EndedSessions } from './ended-sessions.ts';

export type ListedEntry = SessionEntry & { readonly id: string };

/**
 * The live sessions and portal links, for the lists of sessions. A compacted Kafka topic stores them, and every process
 * reads it into memory, so the list needs neither ClickHouse nor Redis. The list gives no access: a session is valid by
 * its token. A session that is missing in the list, because Kafka was unavailable when it was opened, is added with its
 * next request.
 */
export interface SessionList {
  /** Entries of the owner that have neither ended nor expired, newest first. */
  of(owner: string): readonly ListedEntry[];
  find(id: string): ListedEntry | null;
  /** True if the owner has so many entries of this kind that further ones are not listed. */
  isFull(owner: string, kind: SessionEntry['kind']): boolean;
  /** Adds an entry, in the background. */
  add(entry: ListedEntry): void;
  /**
   * Notes a use of the session or link, in the background. Adds it if it is not listed. At most one use in ten minutes
   * is written. A use without network and browser adds a session only a minute after its start: its entry with these
   * facts, written by another process, may not have been read before.
   */
  note(entry: ListedEntry & { readonly usedAtMs: number }): void;
  /** False until this process has read the topic to its end: entries are missing until then. */
  ready(): boolean;
  close(): Promise<void>;
}

export interface SessionListOptions {
  readonly kafka: Kafka;
  readonly topics: Pick<Topics, 'sessions'>;
  readonly producer: Pick<Producer, 'send'>;
  readonly ended: Pick<EndedSessions, 'has'>;
  /** True if the credential that opened the session is no longer valid. The entry is then not listed. */
  readonly isSourceOver: (id: string, entry: SessionEntry) => boolean;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** Maximum number of live entries of one kind and owner. */
export const listedMax = 200;
/**
 * Maximum number of entries of one kind and owner in memory, with those that have ended and are not yet removed. It bounds
 * the memory and the work of one request if a client signs in and out in a loop.
 */
const storedMax = 2 * listedMax;
/** A use is written if the last written one is at least this old. */
const useIntervalMs = 10 * 60_000;
/** Time in which every process has read a new entry, unless Kafka is unavailable. */
const spreadMs = 60_000;
/** Maximum number of entries that wait for Kafka. Further ones are noted with their next use. */
const pendingMax = 1_000;
/** Interval at which a writing process removes the entries that have ended. */
const sweepIntervalMs = 60_000;
/**
 * Time until entries that Kafka did not take are sent again. It doubles with each failure, because a failing send delays
 * the other sends of the process.
 */
const retryMs = { first: 5_000, longest: 300_000 };
/** Maximum number of entries that one write sends to Kafka. */
const batchMax = 500;

export function createSessionList(options: SessionListOptions): SessionList {
  const { kafka, topics, registry } = options;
  return createSessionListOn(options, (onChange) =>
    readTable<SessionEntry>(kafka, {
      topic: topics.sessions,
      name: 'sessions',
      decode: readSessionEntry,
      onChange,
      registry,
    }),
  );
}

type EntryTable = Pick<Table<SessionEntry>, 'get' | 'entries' | 'applyOwn' | 'ready' | 'close'>;

/** The list on a table that `open` creates; the table calls `onChange` for every change. */
export function createSessionListOn(
  options: Omit<SessionListOptions, 'kafka' | 'registry'>,
  open: (
    onChange: (id: string, entry: SessionEntry | null, before: SessionEntry | null) => void,
  ) => EntryTable,
): SessionList {
  const { topics, producer, ended, isSourceOver, clock, logger } = options;
  /** Entries that Kafka has not acknowledged. */
  const pending = new Map<string, SessionEntry>();
  /** Ids of the entries in memory, pending ones included, by kind and owner. */
  const idsOf = new Map<string, Set<string>>();
  const table = open((id, entry, before) => {
    if (before !== null && !pending.has(id)) unindex(id, before);
    if (entry !== null) index(id, entry);
  });
  let writing: Promise<void> | null = null;
  let retry: NodeJS.Timeout | undefined;
  let failures = 0;
  let sweptAtMs = -Infinity;

  return {
    of: (owner) =>
      [...idsIn('session', owner), ...idsIn('link', owner)]
        .flatMap((id) => find(id) ?? [])
        .filter((entry) => !isOver(entry.id, entry))
        .toSorted((a, b) => b.startedAtMs - a.startedAtMs),
    find,
    isFull,
    add: (entry) => {
      if (pending.size < pendingMax && !isFull(entry.owner, entry.kind)) write(entry.id, entryOf(entry));
    },
    note(entry) {
      const listed = find(entry.id);
      if (listed !== null && entry.usedAtMs - (listed.usedAtMs ?? -Infinity) < useIntervalMs) return;
      if (pending.size >= pendingMax) return;
      if (listed === null && (isUnread(entry) || isFull(entry.owner, entry.kind))) return;
      write(entry.id, entryOf(listed === null ? entry : { ...listed, usedAtMs: entry.usedAtMs }));
    },
    ready: () => table.ready(),
    close() {
      clearTimeout(retry);
      return table.close();
    },
  };

  /** True if the entry may be in the topic, with facts that this use does not have. */
  function isUnread({ agent, startedAtMs }: ListedEntry): boolean {
    return agent === '' && (!table.ready() || clock.now() - startedAtMs < spreadMs);
  }

  function find(id: string): ListedEntry | null {
    const entry = pending.get(id) ?? table.get(id);
    return entry === undefined ? null : { ...entry, id };
  }

  function idsIn(kind: SessionEntry['kind'], owner: string): ReadonlySet<string> {
    return idsOf.get(groupOf({ kind, owner })) ?? new Set();
  }

  function isFull(owner: string, kind: SessionEntry['kind']): boolean {
    const ids = idsIn(kind, owner);
    if (ids.size < listedMax || ids.size >= storedMax) return ids.size >= storedMax;
    let live = 0;
    for (const id of ids) {
      const entry = pending.get(id) ?? table.get(id);
      if (entry !== undefined && !isOver(id, entry)) live += 1;
    }
    return live >= listedMax;
  }

  function isOver(id: string, entry: SessionEntry): boolean {
    return isEnded(id, entry) || isSourceOver(id, entry);
  }

  function isEnded(id: string, { owner, startedAtMs, expiresAtMs }: SessionEntry): boolean {
    return expiresAtMs <= clock.now() || ended.has({ id, owner, startedAtMs });
  }

  /**
   * True if the entry can be removed from the topic. The entry of a recent session whose credential is not valid here
   * stays: this process may not have read the new credential yet.
   */
  function isRemovable(id: string, entry: SessionEntry): boolean {
    if (isEnded(id, entry)) return true;
    return clock.now() - entry.startedAtMs > useIntervalMs && isSourceOver(id, entry);
  }

  function index(id: string, entry: SessionEntry): void {
    const ids = idsOf.get(groupOf(entry));
    if (ids === undefined) idsOf.set(groupOf(entry), new Set([id]));
    else ids.add(id);
  }

  function unindex(id: string, entry: SessionEntry): void {
    const ids = idsOf.get(groupOf(entry));
    ids?.delete(id);
    if (ids?.size === 0) idsOf.delete(groupOf(entry));
  }

  function write(id: string, entry: SessionEntry): void {
    pending.set(id, entry);
    index(id, entry);
    startWriting();
  }

  /** Writes the pending entries in the background, one write after the other. */
  function startWriting(): void {
    if (writing !== null || retry !== undefined) return;
    writing = writePending()
      .then(() => {
        failures = 0;
      })
      .catch((error: unknown) => {
        failures += 1;
        if (failures === 1)
          logger.warn({ err: error }, 'sessions are not yet in the list of sessions of other processes');
        retry = setTimeout(
          () => {
            retry = undefined;
            startWriting();
          },
          Math.min(retryMs.first * 2 ** (failures - 1), retryMs.longest),
        ).unref();
      })
      .finally(() => (writing = null));
  }

  async function writePending(): Promise<void> {
    while (pending.size > 0) {
      const entries = [...pending].slice(0, batchMax);
      const live = entries.filter(([id, entry]) => !isRemovable(id, entry));
      const groups = new Set(entries.map(([, entry]) => groupOf(entry)));
      const removed = [...groups].flatMap((group) => removableOf(idsOf.get(group) ?? []));
      await send([...live, ...removed.map((id): [string, null] => [id, null])]);
      for (const [id, entry] of entries) if (pending.get(id) === entry) forgetPending(id, entry);
    }
    await sweep();
  }

  function forgetPending(id: string, entry: SessionEntry): void {
    pending.delete(id);
    if (table.get(id) === undefined) unindex(id, entry);
  }

  /** Removes the entries of all owners that have ended. They are searched for once a minute. */
  async function sweep(): Promise<void> {
    if (clock.now() - sweptAtMs < sweepIntervalMs) return;
    sweptAtMs = clock.now();
    const ids = removableOf(table.entries().keys());
    for (let from = 0; from < ids.length; from += batchMax)
      await send(ids.slice(from, from + batchMax).map((id): [string, null] => [id, null]));
  }

  /** Those of these ids whose entries are in the topic and can be removed from it. */
  function removableOf(ids: Iterable<string>): readonly string[] {
    return [...ids].filter((id) => {
      const entry = table.get(id);
      return entry !== undefined && isRemovable(id, entry);
    });
  }

  async function send(changes: readonly (readonly [string, SessionEntry | null])[]): Promise<void> {
    if (changes.length === 0) return;
    const records = changes.map(([key, entry]) => ({
      key,
      value: entry === null ? null : JSON.stringify(entry),
    }));
    const positions = await producer.send(topics.sessions, records);
    for (const [place, [id, entry]] of changes.entries()) {
      const position = positions[place];
      if (position !== undefined) table.applyOwn(id, entry, { version: 0, ...position });
    }
  }
}

function groupOf({ kind, owner }: Pick<SessionEntry, 'kind' | 'owner'>): string {
  return `${kind} ${owner}`;
}

/** The value of the record, whose key is the id. */
function entryOf(listed: ListedEntry): SessionEntry {
  const { kind, owner, name, startedAtMs, expiresAtMs, usedAtMs, source, network, agent } = listed;
  return { kind, owner, name, startedAtMs, expiresAtMs, usedAtMs, source, network, agent };
}
