import { idKey, ownerKey, readSessionEnd, versionOfEnd } from '../../../shared/domain/topics/session-end.ts';
import type { SessionEnd } from '../../../shared/domain/topics/session-end.ts';
import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { readTable } from '../../../shared/kafka/tables/table.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import type { Signed } from './signed.ts';

/**
 * What ended links and sessions before their time: the sign-outs and revocations of all console processes, from a
 * compacted topic in memory. No page waits for it, and it survives the loss of Redis.
 */
export interface SessionEnds {
  /** True for a signed-out or revoked id, and for whatever its owner had before all of it was ended. */
  has(signed: Pick<Signed, 'id' | 'owner' | 'startedAtMs'>): boolean;
  /**
   * Ends one link or session. Here it has ended at once; elsewhere within moments of Kafka's acknowledgement, for which
   * this waits. Rejects with KAFKA_UNAVAILABLE: repeat it then.
   */
  end(signed: Omit<Signed, 'startedAtMs'>): Promise<void>;
  /** Ends every link and session that the owner has now. */
  endAll(owner: string): Promise<void>;
  /** False until the topic was read to its end once: until then an ended session cannot be told from another. */
  ready(): boolean;
  close(): Promise<void>;
}

export interface SessionEndsOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly producer: Producer;
  readonly clock: Clock;
  readonly registry: Registry;
}

/** Of one owner: beyond it everything of the owner ends, so that sign-outs cannot fill the memory. */
const idsOfOwnerMax = 1_000;
/** Expired entries that are deleted with each new one, so that the topic holds about what is still needed. */
const sweptMax = 10;
/** Ends that wait for Kafka and are written together. */
const pendingMax = 500;

export function createSessionEnds(options: SessionEndsOptions): SessionEnds {
  const { kafka, topics, producer, clock, registry } = options;
  /** Ends that this process was asked for and Kafka may not have. */
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
      if (idsOf(owner) >= idsOfOwnerMax) await endAll(owner);
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

  /** With it goes what an earlier call could not write, and the deletion of some that are expired. */
  async function write(key: string, end: SessionEnd): Promise<void> {
    for (const expired of expiredIn(local)) local.delete(expired);
    local.set(key, end);
    const changes: [string, SessionEnd | null][] = [
      ...[...local].slice(-pendingMax),
      ...expiredIn(table.entries())
        .slice(0, sweptMax)
        .map((expired): [string, null] => [expired, null]),
    ];
    const places = await producer.send(
      topics.sessionEnds,
      changes.map(([name, value]) => ({ key: name, value: value === null ? null : JSON.stringify(value) })),
    );
    for (const [index, [name, value]] of changes.entries()) {
      const place = places[index];
      if (place !== undefined) table.applyOwn(name, value, { version: versionOfEnd(value), ...place });
      if (value !== null && local.get(name) === value) local.delete(name);
    }
  }

  function expiredIn(ends: ReadonlyMap<string, SessionEnd>): string[] {
    return [...ends].filter(([, end]) => 'untilMs' in end && end.untilMs <= clock.now()).map(([key]) => key);
  }

  function idsOf(owner: string): number {
    let count = 0;
    for (const [, end] of table.entries()) if ('untilMs' in end && end.owner === owner) count += 1;
    return count;
  }
}
