import { LRUCache } from 'lru-cache';
import type { SessionKind } from '../../domain/policy.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import { callTimeoutMsDefault, replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { windowField } from '../keys.ts';
import { runLeases } from './leases.ts';
import type { LeaseAnswer } from './leases.ts';
import { createSubjects } from '../decision/subjects.ts';
import type { Caller } from '../decision/subjects.ts';

export interface SessionsOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  /** Live nodes, as the limiter's `state().nodes`. */
  readonly nodes: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A call without an answer for this long is decided locally. */
  readonly callTimeoutMs?: number;
}

export interface SessionAnswer {
  /** Acquired, renewed or released; false where there was no room, or no such session. */
  readonly done: boolean;
  /** Why an acquire was refused; null when it was not. */
  readonly reason: 'limit' | 'invalid' | null;
  /** Live sessions of the tenant or user afterwards (this node's own when degraded). */
  readonly active: number;
  readonly limit: number;
  /** When this session ends unless renewed, Unix milliseconds; 0 when not held. */
  readonly expiresAtMs: number;
  /** Refused: until the first live session would end by itself. */
  readonly retryAfterMs: number | null;
  readonly degraded: boolean;
}

/** Widget sessions: leases with a heartbeat. A session whose client went away is free again after the kind's `ttlMs`. */
export interface Sessions {
  /** The same id again renews. Never more than the limit at once. */
  acquire(kind: SessionKind, caller: Caller, sessionId: string): Promise<SessionAnswer>;
  heartbeat(kind: SessionKind, caller: Caller, sessionId: string): Promise<SessionAnswer>;
  /** Releasing what is not held does nothing. */
  release(kind: SessionKind, caller: Caller, sessionId: string): Promise<SessionAnswer>;
  /** Rejects with REDIS_UNAVAILABLE. */
  count(kind: SessionKind, caller: Caller): Promise<number>;
  /** Live sessions, the one that ends first first; at most 1,000. Rejects with REDIS_UNAVAILABLE. */
  list(kind: SessionKind, caller: Caller): Promise<readonly { id: string; expiresAtMs: number }[]>;
}

export const sessionIdLengthMax = 256;
const listTimeoutMs = 2000;
const listMax = 1000;
/** After a call that failed, this long nobody waits for Redis again. */
const restMs = 500;
const subjectsMax = 20_000;

type What = 'acquire' | 'renew' | 'release';

export function createSessions(options: SessionsOptions): Sessions {
  const { redis, keyPrefix, nodes, clock, logger, callTimeoutMs = callTimeoutMsDefault } = options;
  const subjects = createSubjects(keyPrefix);
  /** Sessions this node granted while Redis was away: key to id to end. */
  const local = new LRUCache<string, Map<string, number>>({ max: subjectsMax });
  let restingUntil = 0;
  return {
    acquire: (kind, caller, id) => run('acquire', kind, caller, id),
    heartbeat: (kind, caller, id) => run('renew', kind, caller, id),
    release: (kind, caller, id) => run('release', kind, caller, id),
    count,
    list,
  };

  async function run(what: What, kind: SessionKind, caller: Caller, id: string): Promise<SessionAnswer> {
    if (id.length === 0 || id.length > sessionIdLengthMax) {
      return { ...answerOf(what, kind, { done: 0, live: 0, firstEndsAtMs: 0 }, false), reason: 'invalid' };
    }
    const key = keyOf(kind, caller);
    if (performance.now() >= restingUntil) {
      try {
        const answer = await call(what, kind, key, id);
        return answerOf(what, kind, answer, false);
      } catch (error) {
        restingUntil = performance.now() + restMs;
        logger.debug({ reason: messageOf(error) }, 'counting sessions locally');
      }
    }
    return answerOf(what, kind, runLocally(what, kind, key, id), true);
  }

  async function call(what: What, kind: SessionKind, key: string, id: string): Promise<LeaseAnswer> {
    const bounds = { leaseMs: kind.ttlMs, limit: Math.floor(kind.limit), timeoutMs: callTimeoutMs };
    // A session that was granted while Redis was away is known here only: its heartbeat brings it in, if there is room.
    const mine = what === 'renew' && (local.get(key)?.get(id) ?? 0) > clock.now();
    const answer = await runLeases(redis, key, mine ? 'acquire' : what, bounds, [id]);
    if (answer.done > 0) local.get(key)?.delete(id);
    return answer;
  }

  function runLocally(what: What, kind: SessionKind, key: string, id: string): LeaseAnswer {
    const nowMs = clock.now();
    let sessions = local.get(key);
    if (sessions === undefined) local.set(key, (sessions = new Map<string, number>()));
    for (const [known, endsAtMs] of sessions) if (endsAtMs <= nowMs) sessions.delete(known);
    const share = kind.limit < 1 ? 0 : Math.max(1, Math.floor(kind.limit / Math.max(1, nodes())));
    let done = 0;
    // Whether a session from before the outage lives cannot be known: its heartbeat is believed.
    if (what === 'release') done = sessions.delete(id) ? 1 : 0;
    else if (what === 'renew' || sessions.has(id) || sessions.size < share) done = 1;
    if (done === 1 && (what === 'acquire' || sessions.has(id))) sessions.set(id, nowMs + kind.ttlMs);
    return { done, live: sessions.size, firstEndsAtMs: Math.min(...sessions.values(), nowMs + kind.ttlMs) };
  }

  function answerOf(what: What, kind: SessionKind, answer: LeaseAnswer, degraded: boolean): SessionAnswer {
    const nowMs = clock.now();
    const done = answer.done > 0;
    const refused = what === 'acquire' && !done;
    return {
      done,
      reason: refused ? 'limit' : null,
      active: answer.live,
      limit: kind.limit,
      expiresAtMs: done && what !== 'release' ? nowMs + kind.ttlMs : 0,
      retryAfterMs: refused ? Math.max(1, answer.firstEndsAtMs - nowMs) : null,
      degraded,
    };
  }

  async function count(kind: SessionKind, caller: Caller): Promise<number> {
    const options = { leaseMs: kind.ttlMs, limit: 0, timeoutMs: listTimeoutMs };
    return (await runLeases(redis, keyOf(kind, caller), 'count', options, [])).live;
  }

  async function list(kind: SessionKind, caller: Caller): Promise<{ id: string; expiresAtMs: number }[]> {
    const call = redis.zrangebyscore(
      keyOf(kind, caller),
      `(${clock.now()}`,
      '+inf',
      'WITHSCORES',
      'LIMIT',
      0,
      listMax,
    );
    const flat = await replyWithin(call, listTimeoutMs);
    const found: { id: string; expiresAtMs: number }[] = [];
    for (let index = 0; index + 1 < flat.length; index += 2) {
      found.push({ id: flat[index] ?? '', expiresAtMs: Number(flat[index + 1]) });
    }
    return found;
  }

  function keyOf(kind: SessionKind, caller: Caller): string {
    const subject = kind.per.includes('user') && caller.userId !== null ? 'user' : 'tenant';
    return `${subjects.of(subject, caller).key}:leases:${windowField(kind.name, 'session', null)}`;
  }
}
