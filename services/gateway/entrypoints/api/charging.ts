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
     * `decision`: the call is charged to the limits that decide about it (see `chargeUndecided`). `events`: its events
     * are charged too, once they are read. Absent: one request.
     */
    work?: 'decision' | 'events';
  }
}

/** Units of one kind of work. */
export interface Work {
  readonly kind: keyof ApiLimits;
  readonly units: number;
}

export const oneRequest: Work = { kind: 'requests', units: 1 };

/** Callers over their limit that this node remembers: a few megabytes. */
const overMax = 10_000;
/** A body that can never fit must not keep out smaller ones for good. */
const tooLargeKeptMs = 60_000;

/**
 * Charges every call of the api listener to its caller before its body is read, unknown paths included: to the tenant,
 * or to the address of a caller without one. A blocked tenant is refused here too. Services belong to the operator and
 * pass; bad credentials were refused before.
 *
 * A body that was read and had no room in the limit costs nothing, so its size is remembered: the caller's next body of
 * unknown size (chunked or compressed) is refused unread until there is room for as many bytes.
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

/** The size of a body that was read and then refused for its bytes; else null. */
function refusedBytesOf({ verdict, body, routeOptions: { config } }: FastifyRequest): number | null {
  if (config.work !== 'events' || body === undefined || verdict === null || passes(verdict)) return null;
  return verdict.limits.some(({ name }) => name === 'api.event_bytes') ? verdict.units : null;
}

/** Whether the header section states the number of bytes of the decoded body. */
function isSizeKnown({ headers }: FastifyRequest): boolean {
  const coding = headers['content-encoding'] ?? 'identity';
  return headers['transfer-encoding'] === undefined && coding.trim().toLowerCase() === 'identity';
}

/** The least work of a call that publishes events, before its body is read. */
function leastWorkOf({ headers }: FastifyRequest, bytesMin: number): readonly Work[] {
  const bytes = Math.max(1, bytesMin, Number(headers['content-length'] ?? 1));
  return [
    { kind: 'events', units: 1 },
    { kind: 'eventBytes', units: Math.min(bytes, bodyBytesMax) },
  ];
}

/**
 * Charges a call for a decision that ends without a verdict: its body was read, and no limit was charged for that. A
 * caller over its limit of these calls is refused before its next body is read, until there is room again.
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

/** Name of the caller that the work is counted for. */
function callerKey(request: FastifyRequest): string | null {
  const identity = chargeable(request)?.identity;
  return identity === undefined ? null : (identity.tenantId ?? `address ${addressPart(identity.ip)}`);
}

/** False where a problem was sent: the caller is over its limit of this work, or blocked. */
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
 * Reads the limits without charging them: a caller without room is refused before its body is read. False where a
 * problem was sent.
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

/** The caller where the limits of the api listener hold for it; else null. */
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

/** Answers a request that cannot be served, and closes its connection: unread bytes of its body are discarded. */
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

/** Charges a request that cannot be served to its address; its event is written before the response leaves. */
export async function chargeFault(
  enforcer: Enforcer,
  request: FastifyRequest,
  reply: FastifyReply,
  fault: Fault,
): Promise<Verdict> {
  const { method, originalUrl: url, headers, socket } = request;
  const ip = enforcer.addressOf(headers, socket.remoteAddress ?? '');
  // A request that the router cannot read fails before its caller is identified.
  const identified: Identified | null | undefined = request.caller;
  const caller = identified ?? { identity: anonymous(ip), rejection: null };
  const decisionRequest = { caller, method, url, cost: null, peek: true, hold: false, plan: null };
  const verdict = await enforcer.decide({ ...decisionRequest, unreadable: fault });
  request.verdict = verdict;
  const { status } = problemOf(verdict);
  await enforcer.meter(verdict, { status, latencyMs: reply.elapsedTime, entrypoint: 'api' });
  return verdict;
}
