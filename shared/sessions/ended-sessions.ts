import { idKey, othersKey, ownerKey, readSessionEnd, versionOfEnd } from '../domain/topics/session-end.ts';
import type { SessionEnd } from '../domain/topics/session-end.ts';
import type { Kafka } from '../kafka/kafkajs/kafka.ts';
import type { Producer } from '../kafka/producer/producer.ts';
import { readTable } from '../kafka/tables/table.ts';
import type { Topics } from '../kafka/topics.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Signed } from './claims.ts';

/**
 * Links and sessions that were ended before they expired, by a sign-out or a revocation in any process. A compacted
 * Kafka topic stores them, and every process reads it into memory. So no page waits for Kafka, and the topic keeps
 * them even if Redis loses its data.
 */
export interface EndedSessions {
  /** True if this link or session was ended, or if all links and sessions of its owner were ended after it began. */
  has(signed: Pick<Signed, 'id' | 'owner' | 'startedAtMs'>): boolean;
  /**
   * Ends one link or session. It ends in this process at once, and in other processes shortly after Kafka's
   * acknowledgement. The call returns after the acknowledgement. Rejects with KAFKA_UNAVAILABLE; the caller can
   * repeat the call.
   */
  end(signed: Omit<Signed, 'startedAtMs'>): Promise<void>;
  /** Ends every current link and session of the owner. */
  endAll(owner: string): Promise<void>;
  /** Ends every current link and session of the owner, except those with these ids. */
  endOthers(owner: string, kept: readonly string[]): Promise<void>;
  /**
   * False until this process has read the topic to its end. Before that, `has` can return false for an ended session.
   */
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

/**
 * Maximum number of links and sessions of one owner that can be ended one by one. The next call ends all links and
 * sessions of the owner, so that sign-outs cannot fill the memory.
 */
const idsOfOwnerMax = 1_000;
/** Maximum number of expired entries that each write deletes. The deletions bound the size of the topic. */
const deletedMax = 10;
/** Maximum number of unacknowledged entries that one write sends to Kafka. */
const pendingMax = 500;

export function createEndedSessions(options: EndedSessionsOptions): EndedSessions {
  const { kafka, topics, producer, clock, registry } = options;
  /** Entries that this process created and Kafka has not acknowledged. */
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
      const others = find(othersKey(owner));
      if (others !== undefined && 'kept' in others && startedAtMs <= others.validFromMs)
        return !others.kept.includes(id) || find(idKey(id)) !== undefined;
      return find(idKey(id)) !== undefined;
    },
    end: async ({ id, owner, expiresAtMs }) => {
      if (expiresAtMs <= clock.now()) return;
      if (countIdsOf(owner) >= idsOfOwnerMax) await endAll(owner);
      else await write(idKey(id), { owner, untilMs: expiresAtMs });
    },
    endAll,
    endOthers: (owner, kept) => write(othersKey(owner), { owner, validFromMs: clock.now(), kept }),
    ready: () => table.ready(),
    close: () => table.close(),
  };

  function find(key: string): SessionEnd | undefined {
    return local.get(key) ?? table.get(key);
  }

  function endAll(owner: string): Promise<void> {
    return write(ownerKey(owner), { owner, validFromMs: clock.now() });
  }

  /**
   * Writes one entry. The same write sends entries whose earlier write failed, and tombstones for some expired
   * entries.
   */
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
