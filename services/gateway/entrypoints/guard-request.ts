import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { readMethod } from '../../../shared/domain/request/request-method.ts';
import type { DecisionRequest } from '../enforcer/decision-inputs.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { anonymous } from '../enforcer/identify.ts';
import type { Identified } from '../enforcer/identify.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import { answerPreflight, isPreflight, preflightLimits, withoutUnits } from '../responses/cors.ts';
import { problemOf, problemType } from '../responses/problem.ts';
import type { Reserve } from '../reservations/reserved-call.ts';
import { readStatedReserve } from '../reservations/stated-usage.ts';
import type { StatedReserve } from '../reservations/stated-usage.ts';
import { bodyEndsSoon, sendContinue } from '../transport/expectation.ts';
import type { Fault } from '../transport/fault.ts';
import { markOwn, sendFault } from './guarded-request.ts';
import type { GuardedReply, GuardedRequest } from './guarded-request.ts';

/** A request as the HTTP server received it. */
export interface ReceivedRequest {
  readonly raw: IncomingMessage;
  readonly method: string;
  /** The target as the client sent it. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Why the request cannot be served, or null. */
  readonly fault: Fault | null;
  /** True if the handler serves `verdict.target`, the target in normal form. */
  readonly rewritten: boolean;
  /** Units to charge. If null, the cost of the route in the policy is charged. */
  readonly cost: number | null;
  readonly complete: CompleteRequest | null;
  /** What the application reserves for the request until it reports the usage; null: nothing. */
  readonly reserve: StatedReserve | null;
}

/**
 * Completes a decision request before the decision, for example with the amounts that the call reserves. Null if the
 * client left in the meantime.
 */
export type CompleteRequest = (
  raw: IncomingMessage,
  decisionRequest: DecisionRequest,
  guarded: GuardedRequest,
) => DecisionRequest | Promise<DecisionRequest | null>;

export type Next = (error?: Error) => void;

/**
 * Identifies the caller, decides about the request, and then calls `next` or responds. The caller of this function
 * writes the limit headers and the event when the response begins.
 */
export function guardRequest(received: ReceivedRequest, guarded: GuardedRequest, next: Next): void {
  const { enforcer } = guarded;
  const { raw, method, headers } = received;
  const remote = raw.socket.remoteAddress ?? '';
  if (isPreflight(method, headers)) {
    const identity = anonymous(enforcer.addressOf(headers, remote));
    decidePreflight(requestOf(received, guarded, { identity, rejection: null }), guarded, next);
    return;
  }
  const caller = enforcer.identify(headers, remote);
  if (caller instanceof Promise) {
    caller.then((identified) => decideComplete(received, identified, guarded, next)).catch(next);
  } else decideComplete(received, caller, guarded, next);
}

function decideComplete(
  received: ReceivedRequest,
  caller: Identified,
  guarded: GuardedRequest,
  next: Next,
): void {
  let completed: ReturnType<CompleteRequest>;
  try {
    const decisionRequest = requestOf(received, guarded, caller);
    completed = received.complete?.(received.raw, decisionRequest, guarded) ?? decisionRequest;
  } catch (error) {
    next(asError(error));
    return;
  }
  if (completed instanceof Promise) {
    completed.then((one) => one !== null && decideGuarded(one, guarded, next)).catch(next);
  } else decideGuarded(completed, guarded, next);
}

function requestOf(
  { method, headers, url, fault, rewritten, cost, reserve }: ReceivedRequest,
  guarded: GuardedRequest,
  caller: Identified,
): DecisionRequest {
  const { enforcer, redisOnly } = guarded;
  const read = readMethod(method, headers, enforcer.policy().requests);
  const isRead = typeof read === 'string';
  const decisionRequest = {
    caller,
    method: isRead ? read : method,
    url,
    rewritten,
    unreadable: fault ?? (isRead ? null : read),
    cost,
    peek: false,
    hold: true,
    plan: null,
    headers,
    receivedAt: guarded.startedAt,
  };
  if (!redisOnly && reserve === null) return decisionRequest;
  return {
    ...decisionRequest,
    ...(redisOnly ? { redisOnly } : {}),
    ...(reserve === null ? {} : { reserve: reserveOf(enforcer, reserve) }),
  };
}

/** Throws if a name or value of the stated usage is wrong: that is an error of the application. */
function reserveOf(enforcer: Enforcer, stated: StatedReserve): Reserve {
  const reserve = readStatedReserve(enforcer.policy(), stated, 'gateway');
  if (typeof reserve === 'string') throw new TypeError(reserve);
  return reserve;
}

function decideGuarded(decisionRequest: DecisionRequest, guarded: GuardedRequest, next: Next): void {
  try {
    guarded.enforcer.decideWith(decisionRequest, (verdict) => applyVerdict(verdict, guarded, next));
  } catch (error) {
    next(asError(error));
  }
}

/** Decides about a preflight by the preflight limits alone. Its event has no units. */
function decidePreflight(decisionRequest: DecisionRequest, guarded: GuardedRequest, next: Next): void {
  const { enforcer } = guarded;
  const { cors } = enforcer.policy();
  const applicable = preflightLimits(enforcer.policy());
  try {
    // With `cors` in the policy, the preflight is answered here and needs no permit.
    enforcer.decideWith({ ...decisionRequest, applicable, hold: cors === null }, (verdict) => {
      if (!passes(verdict)) enforcer.recordDecision(verdict);
      applyVerdict(withoutUnits(verdict), guarded, () => {
        if (cors === null) next();
        else answerPreflight(guarded.reply, cors);
      });
    });
  } catch (error) {
    next(asError(error));
  }
}

/** Serves, delays or refuses the request as its verdict states. */
function applyVerdict(verdict: Verdict, guarded: GuardedRequest, next: Next): void {
  const { reply } = guarded;
  try {
    guarded.verdict = verdict;
    verdict.trace?.hold();
    // The client disconnected during the decision, so the permit of the verdict has to be released here.
    if (guarded.ended) guarded.leave();
    else if (guarded.fault !== null) sendFault(reply, guarded.fault);
    else if (!passes(verdict)) sendRejection(reply, verdict);
    else if (verdict.decision.delayMs === 0) serve(reply, next);
    else serveDelayed(guarded, verdict.decision.delayMs, next);
  } catch (error) {
    // One response of Redis contains the results of several requests: an error of this request must not
    // affect the others.
    next(asError(error));
  }
}

function serveDelayed(guarded: GuardedRequest, delayMs: number, next: Next): void {
  guarded.enforcer.metrics.delaySeconds.observe(delayMs / 1000);
  const timer = setTimeout(() => {
    guarded.end = null;
    serve(guarded.reply, next);
  }, delayMs);
  guarded.end = () => {
    clearTimeout(timer);
    if (guarded.fault !== null) sendFault(guarded.reply, guarded.fault);
  };
}

function serve(reply: GuardedReply, next: Next): void {
  sendContinue(reply.request.raw, reply.raw);
  next();
}

/** Sends the problem of a refused request. `onSend` adds the limit headers, as to every other response. */
function sendRejection(reply: GuardedReply, verdict: Verdict): void {
  const problem = problemOf(verdict);
  markOwn(reply);
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer error="invalid_token"');
  if (problem.status === 503) reply.header('retry-after', '1');
  const { unreadable } = verdict;
  if (unreadable?.allow !== undefined && problem.status === unreadable.status)
    reply.header('allow', unreadable.allow);
  if (unreadable !== null || !bodyEndsSoon(reply.request.raw)) reply.header('connection', 'close');
  void reply.code(problem.status).type(problemType).send(problem);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
