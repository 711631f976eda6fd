import { idKey, ownerKey, readSessionEnd, versionOfEnd } from '../domain/topics/session-end.ts';
import type { SessionEnd } from '../domain/topics/session-end.ts';
import type { Kafka } from '../kafka/kafkajs/kafka.ts';
import type { Producer } from '../kafka/producer/producer.ts';
import { readTable } from '../kafka/tables/table.ts';
import type { Topics } from '../kafka/topics.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Signed } from './claims.ts';

/**
 * Links and sessions that were ended before they expired: the sign-outs and revocations of all processes, read from a
 * compacted topic into memory. No page waits for Kafka, and the ends survive the loss of Redis.
 */
export interface EndedSessions {
  /** True for an ended id, and for every id that its owner had when all links and sessions of the owner were ended. */
  has(signed: Pick<Signed, 'id' | 'owner' | 'startedAtMs'>): boolean;
  /**
   * Ends one link or session: in this process at once, in the others within moments of Kafka's acknowledgement, for which
   * this call waits. Rejects with KAFKA_UNAVAILABLE; the call can be repeated.
   */
  end(signed: Omit<Signed, 'startedAtMs'>): Promise<void>;
  /** Ends every link and session that the owner has now. */
  endAll(owner: string): Promise<void>;
  /** False until the topic was read to its end once: before that an ended session can look valid. */
  ready(): boolean;
  close(): Promise<void>;
}

export interface EndedSessionsOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly producer: Producer;
  readonly clock: Clock;
  readonly registry: Registry;
}

/** Ended ids of one owner. At the maximum everything of the owner is ended, so that sign-outs cannot fill the memory. */
const idsOfOwnerMax = 1_000;
/** Expired entries that are deleted with each write, so that the topic stays about as large as what is needed. */
const deletedMax = 10;
/** Ends that wait for Kafka and are written together. */
const pendingMax = 500;

export function createEndedSessions(options: EndedSessionsOptions): EndedSessions {
  const { kafka, topics, producer, clock, registry } = options;
  /** Ends of this process that Kafka has not acknowledged. */
  const local = new Map<string, SessionEnd>();
  const table = readTable<SessionEnd>(kafka, {
    topic: topics.sessionEnds,
    name: 'session-ends',
    decode: readSessionEnd,
    versionOf: versionOfEnd,
    registry,
  });
  return {
    has: ({ id, owner, startedAtMs }) => {
      const all = find(ownerKey(owner));
      if (all !== undefined && 'validFromMs' in all && startedAtMs <= all.validFromMs) return true;
      return find(idKey(id)) !== undefined;
    },
    end: async ({ id, owner, expiresAtMs }) => {
      if (expiresAtMs <= clock.now()) return;
      if (countIdsOf(owner) >= idsOfOwnerMax) await endAll(owner);
      else await write(idKey(id), { owner, untilMs: expiresAtMs });
    },
    endAll,
    ready: () => table.ready(),
    close: () => table.close(),
  };

  function find(key: string): SessionEnd | undefined {
    return local.get(key) ?? table.get(key);
  }

  function endAll(owner: string): Promise<void> {
    return write(ownerKey(owner), { owner, validFromMs: clock.now() });
  }

  /** Writes one end, together with the ends that earlier calls could not write and tombstones of some expired entries. */
  async function write(key: string, end: SessionEnd): Promise<void> {
    for (const expired of expiredIn(local)) local.delete(expired);
    local.set(key, end);
    const changes: [string, SessionEnd | null][] = [
      ...[...local].slice(-pendingMax),
      ...expiredIn(table.entries())
        .slice(0, deletedMax)
        .map((expired): [string, null] => [expired, null]),
    ];
    const positions = await producer.send(
      topics.sessionEnds,
      changes.map(([name, value]) => ({ key: name, value: value === null ? null : JSON.stringify(value) })),
    );
    for (const [index, [name, value]] of changes.entries()) {
      const position = positions[index];
      if (position !== undefined) table.applyOwn(name, value, { version: versionOfEnd(value), ...position });
      if (value !== null && local.get(name) === value) local.delete(name);
    }
  }

  function expiredIn(ends: ReadonlyMap<string, SessionEnd>): string[] {
    return [...ends].filter(([, end]) => 'untilMs' in end && end.untilMs <= clock.now()).map(([key]) => key);
  }

  function countIdsOf(owner: string): number {
    let count = 0;
    for (const [, end] of table.entries()) if ('untilMs' in end && end.owner === owner) count += 1;
    return count;
  }
}
