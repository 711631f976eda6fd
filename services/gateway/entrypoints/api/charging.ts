import type { FastifyReply, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { ApiLimits } from '../../../../shared/domain/policy.ts';
import { apiLimitsFor } from '../../../../shared/policy/match.ts';
import { addressPart } from '../../../../shared/redis/keys.ts';
import type { ApiServer } from './api-server.ts';
import type { Enforcer } from '../../enforcer/enforcer.ts';
import { anonymous } from '../../enforcer/identify.ts';
import type { Identified } from '../../enforcer/identify.ts';
import type { Fault } from '../../transport/fault.ts';
import { bodyBytesMax } from './api-server.ts';
import { problemOf, sendProblem } from '../../responses/problem.ts';
import { passes } from '../../enforcer/verdict.ts';
import type { Verdict } from '../../enforcer/verdict.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * How a call of the route is charged. `decision`: to the limits that decide about it (see `chargeUndecided`).
     * `events`: as one request, and in addition for its events after they are read. Absent: as one request.
     */
    work?: 'decision' | 'events';
  }
}

/** An amount of work of one kind, in the units of the limits of the API listener. */
export interface Work {
  readonly kind: keyof ApiLimits;
  readonly units: number;
}

export const oneRequest: Work = { kind: 'requests', units: 1 };

/** Maximum number of cached states of callers over their limit. It bounds the memory to a few megabytes. */
const overMax = 10_000;
/**
 * The size of a refused body is stored for at most this long, because a body larger than the whole limit would
 * otherwise block the caller's smaller bodies forever.
 */
const tooLargeKeptMs = 60_000;

/**
 * Charges every call of the API listener before its body is read, also calls of unknown paths. A call is charged to the
 * caller's tenant, or to the address of a caller without a tenant. Calls of a blocked tenant are refused here too.
 * Services belong to the operator and are charged nothing. Invalid credentials were refused before.
 *
 * If a body of events is found to exceed the limit only after it was read, it is charged nothing. Instead, its size is
 * stored: the caller's next body of unknown size (chunked or compressed) is refused without being read until the limit
 * has room for the stored size.
 */
export function chargeApiRequests(app: ApiServer, enforcer: Enforcer): void {
  const tooLarge = new LRUCache<string, number>({ max: overMax, ttl: tooLargeKeptMs });
  app.addHook('onRequest', async (request, reply) => {
    const { work } = request.routeOptions.config;
    if (work === 'decision') return;
    if (work === 'events') {
      const key = isSizeKnown(request) ? null : callerKey(request);
      const bytes = key === null ? 0 : (tooLarge.get(key) ?? 0);
      if (!(await hasRoom(enforcer, request, reply, leastWorkOf(request, bytes)))) return reply;
      if (key !== null && bytes > 0) tooLarge.delete(key);
    }
    if (!(await chargeWork(enforcer, request, reply, oneRequest))) return reply;
  });
  app.addHook('onResponse', (request, _reply, done) => {
    const bytes = refusedBytesOf(request);
    const key = bytes === null ? null : callerKey(request);
    if (bytes !== null && key !== null) tooLarge.set(key, Math.max(bytes, tooLarge.get(key) ?? 0));
    done();
  });
}

/** Returns the size of a body that was read and then refused because of the limit of bytes; else null. */
function refusedBytesOf({ verdict, body, routeOptions: { config } }: FastifyRequest): number | null {
  if (config.work !== 'events' || body === undefined || verdict === null || passes(verdict)) return null;
  return verdict.limits.some(({ name }) => name === 'api.event_bytes') ? verdict.units : null;
}

/** True if the header fields state the size of the decompressed body. */
function isSizeKnown({ headers }: FastifyRequest): boolean {
  const coding = headers['content-encoding'] ?? 'identity';
  return headers['transfer-encoding'] === undefined && coding.trim().toLowerCase() === 'identity';
}

/** Returns the minimum work of a call with events, as far as its header fields state the size of its body. */
function leastWorkOf({ headers }: FastifyRequest, bytesMin: number): readonly Work[] {
  const bytes = Math.max(1, bytesMin, Number(headers['content-length'] ?? 1));
  return [
    { kind: 'events', units: 1 },
    { kind: 'eventBytes', units: Math.min(bytes, bodyBytesMax) },
  ];
}

/**
 * Charges one request for a call whose body was read but that failed before a decision charged any limit. A caller that
 * exceeds the limit in this way is refused before its next body is read, until the limit has room again.
 */
export function chargeUndecided(app: ApiServer, enforcer: Enforcer): void {
  const over = new LRUCache<string, true>({ max: overMax });
  app.addHook('onRequest', async (request, reply) => {
    if (over.size === 0 || !isDecisionCall(request)) return;
    const caller = callerKey(request);
    if (caller === null || !over.has(caller)) return;
    if (!(await hasRoom(enforcer, request, reply, [oneRequest]))) return reply;
    over.delete(caller);
  });
  app.addHook('onResponse', async (request) => {
    if (request.verdict !== null || !isDecisionCall(request)) return;
    const caller = chargeable(request);
    const key = callerKey(request);
    if (caller === null || key === null) return;
    const verdict = await decideWork(enforcer, caller, oneRequest, false);
    enforcer.metrics.apiWork.inc({ kind: 'requests', result: passes(verdict) ? 'allowed' : 'limited' });
    if (!passes(verdict)) over.set(key, true);
  });
}

function isDecisionCall({ routeOptions: { config } }: FastifyRequest): boolean {
  return config.work === 'decision' && config.access === 'credential';
}

/**
 * Returns the key under which a caller's state is cached: its tenant, or else its address. Null if the caller is
 * charged nothing.
 */
function callerKey(request: FastifyRequest): string | null {
  const identity = chargeable(request)?.identity;
  return identity === undefined ? null : (identity.tenantId ?? `address ${addressPart(identity.ip)}`);
}

/**
 * Charges work to the caller. Returns false if the caller is blocked or over its limit of this work; then a problem was
 * sent.
 */
export async function chargeWork(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
  work: Work,
): Promise<boolean> {
  const caller = chargeable(request);
  if (caller === null) return true;
  const verdict = await decideWork(enforcer, caller, work, false);
  const passed = passes(verdict);
  enforcer.metrics.apiWork.inc({ kind: work.kind, result: passed ? 'allowed' : 'limited' }, work.units);
  if (!passed) sendRejection(request, reply, verdict);
  return passed;
}

/**
 * Reads the limits without charging them, so that a caller over a limit is refused before its body is read. Returns
 * false if a limit has no room; then a problem was sent.
 */
async function hasRoom(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
  work: readonly Work[],
): Promise<boolean> {
  const caller = chargeable(request);
  if (caller === null) return true;
  const verdicts = await Promise.all(work.map((part) => decideWork(enforcer, caller, part, true)));
  const index = verdicts.findIndex((verdict) => !passes(verdict));
  const [verdict, refusedWork] = [verdicts[index], work[index]];
  if (verdict === undefined || refusedWork === undefined) return true;
  enforcer.metrics.apiWork.inc({ kind: refusedWork.kind, result: 'limited' }, refusedWork.units);
  sendRejection(request, reply, verdict);
  return false;
}

/** Returns the caller if the limits of the API listener apply to it; else null. */
function chargeable({ caller }: FastifyRequest): Identified | null {
  return caller === null || caller.rejection !== null || caller.identity.service !== null ? null : caller;
}

function sendRejection(request: FastifyRequest, reply: FastifyReply, verdict: Verdict): void {
  request.verdict = verdict;
  sendProblem(reply, problemOf(verdict));
}

function decideWork(
  enforcer: Enforcer,
  caller: Identified,
  { kind, units }: Work,
  peek: boolean,
): Promise<Verdict> {
  const { tenantId, planClaim } = caller.identity;
  const record = tenantId === null ? null : (enforcer.records.get(tenantId) ?? null);
  const applicable = apiLimitsFor(enforcer.policy(), kind, {
    plan: planClaim,
    record,
    nowMs: enforcer.clock.now(),
  });
  const decisionRequest = { method: '', url: '/', cost: units, peek, hold: false, plan: null };
  return enforcer.decide({ caller, ...decisionRequest, applicable });
}

/**
 * Responds to a request that cannot be served and closes its connection, because the unread bytes of its body are
 * discarded.
 */
export async function respondToFault(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
  fault: Fault,
): Promise<FastifyReply> {
  const verdict = await chargeFault(enforcer, request, reply, fault);
  if (!reply.sent) sendProblem(reply.header('connection', 'close'), problemOf(verdict));
  return reply;
}

/** Charges a request that cannot be served to its address. The usage event is written before the response is sent. */
export async function chargeFault(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
  fault: Fault,
): Promise<Verdict> {
  const { method, originalUrl: url, headers, socket } = request;
  const ip = enforcer.addressOf(headers, socket.remoteAddress ?? '');
  // If the router cannot read a request, the request fails before its caller is identified.
  const identified: Identified | null | undefined = request.caller;
  const caller = identified ?? { identity: anonymous(ip), rejection: null };
  const decisionRequest = { caller, method, url, cost: null, peek: true, hold: false, plan: null };
  const verdict = await enforcer.decide({ ...decisionRequest, unreadable: fault });
  request.verdict = verdict;
  const { status } = problemOf(verdict);
  await enforcer.meter(verdict, { status, latencyMs: reply.elapsedTime, entrypoint: 'api' });
  return verdict;
}
