import { LRUCache } from 'lru-cache';
import type { SessionKind } from '../../domain/policy.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { createSubjects } from '../decision/subjects.ts';
import type { Caller } from '../decision/subjects.ts';
import { nodeShare } from '../fallback/node-share.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { windowField } from '../keys.ts';
import { runLeases } from './leases.ts';
import type { LeaseReply } from './leases.ts';

export interface SessionsOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  readonly keyPrefix: string;
  /** Number of live nodes (the limiter's `state().nodes`). */
  readonly nodes: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface SessionAnswer {
  /** True when the session was acquired, renewed or released. False when the limit has no room, or no session has this id. */
  readonly done: boolean;
  /** Reason why the session was not acquired; null if it was. */
  readonly reason: 'limit' | 'invalid' | null;
  /** Number of live sessions of the tenant or user after the operation. If `degraded`: only this node's sessions. */
  readonly active: number;
  readonly limit: number;
  /** Unix milliseconds at which this session ends unless it is renewed; 0 without a session. */
  readonly expiresAtMs: number;
  /** Milliseconds until the first live session ends unless it is renewed; null if the session was not refused. */
  readonly retryAfterMs: number | null;
  readonly degraded: boolean;
}

/** Widget sessions: leases with a heartbeat. A session without a heartbeat ends after the `ttlMs` of its kind. */
export interface Sessions {
  /** Acquires a session, or renews it if a session with this id is live. The number of live sessions never exceeds the limit. */
  acquire(kind: SessionKind, caller: Caller, sessionId: string): Promise<SessionAnswer>;
  heartbeat(kind: SessionKind, caller: Caller, sessionId: string): Promise<SessionAnswer>;
  /** Ends a session. Does nothing if no session has this id. */
  release(kind: SessionKind, caller: Caller, sessionId: string): Promise<SessionAnswer>;
  /** Resolves with the number of live sessions. Rejects with REDIS_UNAVAILABLE when Redis does not answer. */
  count(kind: SessionKind, caller: Caller): Promise<number>;
  /** Resolves with the live sessions, at most 1,000, in the order of their ends. Rejects with REDIS_UNAVAILABLE. */
  list(kind: SessionKind, caller: Caller): Promise<readonly { id: string; expiresAtMs: number }[]>;
}

export const sessionIdLengthMax = 256;
const listTimeoutMs = 2000;
const listMax = 1000;
const subjectsMax = 20_000;

type Operation = 'acquire' | 'renew' | 'release';

/** The sorted set of sessions in Redis: its key and hash tag. */
interface SessionsKey {
  readonly key: string;
  readonly tag: string;
}

export function createSessions(options: SessionsOptions): Sessions {
  const { redis, breakerOf, keyPrefix, nodes, clock, logger } = options;
  const subjects = createSubjects(keyPrefix);
  /**
   * Sessions that this node granted while Redis was unavailable: for each key, the end of each session (Unix milliseconds) by
   * session id.
   */
  const local = new LRUCache<string, Map<string, number>>({ max: subjectsMax });
  return {
    acquire: (kind, caller, id) => run('acquire', kind, caller, id),
    heartbeat: (kind, caller, id) => run('renew', kind, caller, id),
    release: (kind, caller, id) => run('release', kind, caller, id),
    count,
    list,
  };

  async function run(
    operation: Operation,
    kind: SessionKind,
    caller: Caller,
    id: string,
  ): Promise<SessionAnswer> {
    if (id.length === 0 || id.length > sessionIdLengthMax) {
      return {
        ...answerOf(operation, kind, { done: 0, live: 0, firstEndsAtMs: 0 }, false),
        reason: 'invalid',
      };
    }
    const key = keyOf(kind, caller);
    try {
      return answerOf(operation, kind, await call(operation, kind, key, id), false);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'sessions are counted locally');
      return answerOf(operation, kind, runLocally(operation, kind, key.key, id), true);
    }
  }

  async function call(
    operation: Operation,
    kind: SessionKind,
    { key, tag }: SessionsKey,
    id: string,
  ): Promise<LeaseReply> {
    const bounds = { leaseMs: kind.ttlMs, limit: Math.floor(kind.limit) };
    // Redis does not have a session that this node granted during an outage. Its first heartbeat after the outage acquires the
    // session in Redis, if there is room.
    const isLocal = operation === 'renew' && (local.get(key)?.get(id) ?? 0) > clock.now();
    const reply = await breakerOf(tag).run(() =>
      runLeases(redis, key, isLocal ? 'acquire' : operation, bounds, [id]),
    );
    if (reply.done > 0) local.get(key)?.delete(id);
    return reply;
  }

  function runLocally(operation: Operation, kind: SessionKind, key: string, id: string): LeaseReply {
    const nowMs = clock.now();
    let sessions = local.get(key);
    if (sessions === undefined) local.set(key, (sessions = new Map<string, number>()));
    for (const [other, endsAtMs] of sessions) if (endsAtMs <= nowMs) sessions.delete(other);
    let done = 0;
    // A heartbeat of a session from before the outage is accepted, because the node cannot check whether the session is live.
    if (operation === 'release') done = sessions.delete(id) ? 1 : 0;
    else if (
      operation === 'renew' ||
      sessions.has(id) ||
      sessions.size < nodeShare(Math.floor(kind.limit), nodes())
    )
      done = 1;
    if (done === 1 && (operation === 'acquire' || sessions.has(id))) sessions.set(id, nowMs + kind.ttlMs);
    return { done, live: sessions.size, firstEndsAtMs: Math.min(...sessions.values(), nowMs + kind.ttlMs) };
  }

  function answerOf(
    operation: Operation,
    kind: SessionKind,
    reply: LeaseReply,
    degraded: boolean,
  ): SessionAnswer {
    const nowMs = clock.now();
    const done = reply.done > 0;
    const refused = operation === 'acquire' && !done;
    return {
      done,
      reason: refused ? 'limit' : null,
      active: reply.live,
      limit: kind.limit,
      expiresAtMs: done && operation !== 'release' ? nowMs + kind.ttlMs : 0,
      retryAfterMs: refused ? Math.max(1, reply.firstEndsAtMs - nowMs) : null,
      degraded,
    };
  }

  async function count(kind: SessionKind, caller: Caller): Promise<number> {
    const bounds = { leaseMs: kind.ttlMs, limit: 0 };
    const call = runLeases(redis, keyOf(kind, caller).key, 'count', bounds, []);
    return (await replyWithin(call, listTimeoutMs)).live;
  }

  async function list(kind: SessionKind, caller: Caller): Promise<{ id: string; expiresAtMs: number }[]> {
    const { key } = keyOf(kind, caller);
    const call = redis.zrangebyscore(key, `(${clock.now()}`, '+inf', 'WITHSCORES', 'LIMIT', 0, listMax);
    const flat = await replyWithin(call, listTimeoutMs);
    const found: { id: string; expiresAtMs: number }[] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      found.push({ id: flat[index] ?? '', expiresAtMs: Number(flat[index + 1]) });
    }
    return found;
  }

  function keyOf(kind: SessionKind, caller: Caller): SessionsKey {
    const isPerUser = kind.per.includes('user') && caller.userId !== null;
    const subject = subjects.of(isPerUser ? 'user' : 'tenant', caller);
    return { key: `${subject.key}:leases:${windowField(kind.name, 'session', null)}`, tag: subject.tag };
  }
}
