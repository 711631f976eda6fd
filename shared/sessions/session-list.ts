import { readSessionEntry } from '../domain/topics/session-entry.ts';
import type { SessionEntry } from '../domain/topics/session-entry.ts';
import type { Kafka } from '../kafka/kafkajs/kafka.ts';
import type { Producer } from '../kafka/producer/producer.ts';
import { readTable } from '../kafka/tables/table.ts';
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
  /** Adds an entry. Resolves when Kafka has it. Rejects with KAFKA_UNAVAILABLE. */
  add(entry: ListedEntry): Promise<void>;
  /**
   * Notes a use of the session or link, in the background. Adds it if it is not listed. At most one use in ten minutes
   * is written.
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
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** Maximum number of entries of one kind and owner. It bounds the memory, and the topic, if a client signs in in a loop. */
export const listedMax = 200;
/** A use is written if the last written one is at least this old. */
const useIntervalMs = 10 * 60_000;
/** Maximum number of entries that wait for Kafka. Further ones are noted with their next use. */
const pendingMax = 1_000;
/** Interval at which a writing process removes the entries that have ended. */
const sweepIntervalMs = 60_000;
/** Time until entries that Kafka did not take are sent again. */
const retryMs = 5_000;
/** Maximum number of records that one write sends to Kafka. */
const batchMax = 500;

export function createSessionList(options: SessionListOptions): SessionList {
  const { kafka, topics, producer, ended, clock, registry, logger } = options;
  /** Entries that Kafka has not acknowledged. */
  const pending = new Map<string, SessionEntry>();
  const idsOf = new Map<string, Set<string>>();
  const table = readTable<SessionEntry>(kafka, {
    topic: topics.sessions,
    name: 'sessions',
    decode: readSessionEntry,
    onChange: (id, entry, before) => index(id, entry, before),
    registry,
  });
  let writing: Promise<void> | null = null;
  let retry: NodeJS.Timeout | undefined;
  let sweptAtMs = -Infinity;

  return {
    of: liveOf,
    find,
    isFull,
    async add(entry) {
      if (isFull(entry.owner, entry.kind)) return;
      await send([[entry.id, entryOf(entry)]]);
    },
    note(entry) {
      const listed = find(entry.id);
      if (listed !== null && entry.usedAtMs - (listed.usedAtMs ?? -Infinity) < useIntervalMs) return;
      if (pending.size >= pendingMax) return;
      if (listed === null && isFull(entry.owner, entry.kind)) return;
      pending.set(entry.id, entryOf(listed === null ? entry : { ...listed, usedAtMs: entry.usedAtMs }));
      write();
    },
    ready: () => table.ready(),
    close() {
      clearTimeout(retry);
      return table.close();
    },
  };

  function find(id: string): ListedEntry | null {
    const entry = pending.get(id) ?? table.get(id);
    return entry === undefined ? null : { ...entry, id };
  }

  function liveOf(owner: string): readonly ListedEntry[] {
    const unwritten = [...pending].flatMap(([id, entry]) => (entry.owner === owner ? [id] : []));
    return [...new Set([...(idsOf.get(owner) ?? []), ...unwritten])]
      .flatMap((id) => find(id) ?? [])
      .filter((entry) => !isOver(entry.id, entry))
      .toSorted((a, b) => b.startedAtMs - a.startedAtMs);
  }

  function isFull(owner: string, kind: SessionEntry['kind']): boolean {
    if ((idsOf.get(owner)?.size ?? 0) + pending.size < listedMax) return false;
    return liveOf(owner).filter((entry) => entry.kind === kind).length >= listedMax;
  }

  function isOver(id: string, { owner, startedAtMs, expiresAtMs }: SessionEntry): boolean {
    return expiresAtMs <= clock.now() || ended.has({ id, owner, startedAtMs });
  }

  function index(id: string, entry: SessionEntry | null, before: SessionEntry | null): void {
    if (before !== null) {
      const ids = idsOf.get(before.owner);
      ids?.delete(id);
      if (ids?.size === 0) idsOf.delete(before.owner);
    }
    if (entry === null) return;
    const ids = idsOf.get(entry.owner);
    if (ids === undefined) idsOf.set(entry.owner, new Set([id]));
    else ids.add(id);
  }

  /** Writes the pending entries in the background, one write after the other. */
  function write(): void {
    if (writing !== null || retry !== undefined) return;
    writing = writePending()
      .catch((error: unknown) => {
        logger.warn({ err: error }, 'sessions are not yet in the list of sessions of other processes');
        retry = setTimeout(() => {
          retry = undefined;
          write();
        }, retryMs).unref();
      })
      .finally(() => (writing = null));
  }

  async function writePending(): Promise<void> {
    while (pending.size > 0) {
      const entries = [...pending].slice(0, batchMax);
      await send([...entries, ...overIds().map((id): [string, null] => [id, null])]);
      for (const [id, entry] of entries) if (pending.get(id) === entry) pending.delete(id);
    }
  }

  /** Entries that have ended, which the next write removes. They are searched for once a minute. */
  function overIds(): readonly string[] {
    if (clock.now() - sweptAtMs < sweepIntervalMs) return [];
    sweptAtMs = clock.now();
    return [...table.entries()].flatMap(([id, entry]) => (isOver(id, entry) ? [id] : [])).slice(0, batchMax);
  }

  async function send(changes: readonly (readonly [string, SessionEntry | null])[]): Promise<void> {
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

/** The value of the record, whose key is the id. */
function entryOf(listed: ListedEntry): SessionEntry {
  const { kind, owner, name, startedAtMs, expiresAtMs, usedAtMs, source, network, agent } = listed;
  return { kind, owner, name, startedAtMs, expiresAtMs, usedAtMs, source, network, agent };
}
