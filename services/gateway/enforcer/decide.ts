import type { Decision, Outcome, RefusalReason } from '../../../shared/domain/decision.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import type { Limit, LimitState } from '../../../shared/domain/limit.ts';
import type { Plan, Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { CredentialRefusal, RefusalOfAddress } from '../../../shared/identity/refusal.ts';
import { isBlocked, limitsFor } from '../../../shared/policy/match.ts';
import type { ApplicableLimits } from '../../../shared/policy/match.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { CheckResult } from '../../../shared/redis/decision/check.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Permit } from '../../../shared/redis/leases/permits.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Identified, TenantRecords } from './identify.ts';
import type { ChargeInvalid } from './invalid-request-limit.ts';
import { withOverride } from './limit-override.ts';
import type { LimitOverride } from './limit-override.ts';
import { readRequest, writtenPath } from './read-request.ts';
import type { RawRequest, RequestReadings } from './read-request.ts';
import { slowDownDelayMs } from './slow-down.ts';
import type { Fault } from '../transport/fault.ts';
import { untouchedState } from './verdict.ts';
import type { Verdict } from './verdict.ts';

/** One request to decide about. */
export interface Question extends RawRequest {
  readonly who: Identified;
  /** Units; null: what the route costs. */
  readonly cost: number | null;
  /** True to look without taking. */
  readonly peek: boolean;
  /** True to hold a place under the concurrent limits until `Verdict.release` is called. */
  readonly hold: boolean;
  /** A plan named by a trusted caller; the tenant's record has precedence. */
  readonly plan: string | null;
  /** Limits to decide by; absent: those of plan, route and platform. */
  readonly applicable?: ApplicableLimits;
  /** A limit of a trusted caller in place of the plan's. */
  readonly override?: LimitOverride;
  /** Milliseconds after which a late Redis is decided without; absent: what the limiter waits for every check. */
  readonly waitMsMax?: number;
}

export interface DecideOptions {
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly concurrency: Pick<Concurrency, 'acquire'>;
  readonly records: TenantRecords;
  readonly chargeInvalid: ChargeInvalid;
  readonly clock: Clock;
  readonly nextId: () => string;
}

/** Everything found out before anybody is asked. */
interface Case {
  readonly question: Question;
  readonly policy: Policy;
  readonly record: TenantRecord | null;
  readonly plan: Plan;
  readonly read: RequestReadings;
  readonly limits: readonly Limit[];
  readonly units: number;
  readonly atMs: number;
  readonly clock: Clock;
}

/**
 * Decides about a request under a policy; the same for every entrypoint. `settled` is called once, maybe at once, and must
 * not throw. Callbacks all the way: with a promise for each step the steps would cost more than the decision.
 */
export type Decide = (policy: Policy, question: Question, settled: (verdict: Verdict) => void) => void;

/**
 * In order: an address with too many bad credentials is refused, at no cost to Redis; what cannot be read is refused,
 * whoever sent it, and charged to its address, at no cost to Redis beyond that limit; a service passes without asking anybody; bad credentials and blocks are refused. These refusals peek,
 * so that the answer can say how the limits stand. Everything else is the limiter's to decide.
 */
export function createDecide(options: DecideOptions): Decide {
  const { limiter, concurrency, records, chargeInvalid, clock, nextId } = options;
  return (policy, question, settled) => {
    const { identity, refusal } = question.who;
    const atMs = clock.now();
    const record = identity.tenantId === null ? null : (records.get(identity.tenantId) ?? null);
    const read = readRequest(policy, question);
    const { route, unreadable } = read;
    const planName = question.plan ?? identity.planClaim;
    const chosen = question.applicable ?? limitsFor(policy, { plan: planName, record, route, nowMs: atMs });
    const { plan, limits } =
      question.override === undefined ? chosen : withOverride(chosen, question.override);
    const units = question.cost ?? route?.cost ?? 1;
    const found: Case = { question, policy, record, plan, read, limits, units, atMs, clock };
    if (refusal?.status === 429) {
      settled(tooManyRefused(found, nextId(), refusal, 'unauthenticated'));
      return;
    }
    if (unreadable !== null) {
      refuseInvalid(found, unreadable, settled);
      return;
    }
    if (identity.service !== null) {
      settled(bypass(found, nextId()));
      return;
    }
    const block = refusal === null ? blockOf(record, atMs) : null;
    if (refusal?.status === 503) settled(unauthenticated(found, nextId(), untouched(found), refusal));
    else if (refusal !== null)
      ask(found, true, (result) => settled(unauthenticated(found, nextId(), result, refusal)));
    else if (block !== null) ask(found, true, (result) => settled(blocked(found, nextId(), result, block)));
    else if (!question.hold) {
      ask(found, question.peek, (result) => settled(limited(found, nextId(), result, null)));
    } else {
      const permit = concurrency.acquire(concurrentLimits(policy, limits), identity);
      if (permit instanceof Promise) void permit.then((taken) => admit(found, taken, settled));
      else admit(found, permit, settled);
    }
  };

  /** A connection too many (429, 503) is refused by a limit of its own, and a service is under none. */
  function refuseInvalid(found: Case, { status }: Fault, settled: (verdict: Verdict) => void): void {
    const { identity } = found.question.who;
    if (status === 429 || status === 503 || identity.service !== null) {
      settled(refused(found, nextId(), untouched(found), 'invalid', null));
      return;
    }
    chargeInvalid(identity, (over) => {
      if (over !== null) settled(tooManyRefused(found, nextId(), over, 'invalid'));
      else ask(found, true, (result) => settled(refused(found, nextId(), result, 'invalid', null)));
    });
  }

  /** A place first, units second: a request that finds no place has consumed nothing, one without units gives its place back. */
  function admit(found: Case, permit: Permit, settled: (verdict: Verdict) => void): void {
    ask(found, !permit.granted, (result) => {
      const verdict = limited(found, nextId(), result, permit);
      if (verdict.decision.outcome === 'limited') permit.release();
      settled(verdict);
    });
  }

  function ask(
    { question, record, limits, units }: Case,
    peek: boolean,
    answer: (result: CheckResult) => void,
  ): void {
    const { tenantId, userId, ip } = question.who.identity;
    const request = { tenantId, userId, ip, limits, cost: units, peek };
    const timeZone = record?.time_zone;
    const { waitMsMax } = question;
    if (timeZone === undefined && waitMsMax === undefined) limiter.checkWith(request, answer);
    else {
      limiter.checkWith(
        {
          ...request,
          ...(timeZone === undefined ? {} : { timeZone }),
          ...(waitMsMax === undefined ? {} : { waitMsMax }),
        },
        answer,
      );
    }
  }
}

function limited(found: Case, id: string, result: CheckResult, permit: Permit | null): Verdict {
  const full = permit === null ? noStates : permit.full;
  const refusedPlace = permit?.granted === false;
  // Without a place the windows were only looked at: what they would have said refuses nobody.
  const counted = refusedPlace ? full : full.length === 0 ? result.states : [...full, ...result.states];
  let limitedBy: readonly string[] = noNames;
  let retryAfterMs: number | null = 0;
  for (const state of counted) {
    if (!state.violated) continue;
    limitedBy = [...limitedBy, state.name];
    if (state.mode === 'shadow' || retryAfterMs === null) continue;
    retryAfterMs = state.retryAfterMs === null ? null : Math.max(retryAfterMs, state.retryAfterMs);
  }
  const passed = result.passed && !refusedPlace;
  const outcome: Outcome = !passed ? 'limited' : limitedBy.length > 0 ? 'shadow_limited' : 'allowed';
  const reason = passed ? null : refusedPlace ? 'limit' : (result.reason ?? 'limit');
  const decision: Decision = {
    id,
    outcome,
    reason,
    limits: full.length === 0 ? result.states : [...result.states, ...full],
    limitedBy: reason === 'invalid' ? [reason] : limitedBy,
    retryAfterMs: passed || reason === 'invalid' ? null : retryAfterMs,
    delayMs: passed ? slowDownDelayMs(found.plan.slowDown, found.plan.limits, result.states) : 0,
    degraded: result.degraded || permit?.degraded === true,
    checkMicros: result.checkMicros,
  };
  return verdictOf(found, decision, permit === null ? nothing : () => permit.release());
}

const noNames: readonly string[] = [];
const noStates: readonly LimitState[] = [];

const concurrentOf = new WeakMap<readonly Limit[], readonly Limit[]>();

/** The platform's and the request's own; the same array for the same limits, as whoever counts them expects. */
function concurrentLimits(policy: Policy, limits: readonly Limit[]): readonly Limit[] {
  let found = concurrentOf.get(limits);
  if (found === undefined) {
    found = [...policy.shares, ...policy.platform, ...limits].filter(({ type }) => type === 'concurrent');
    concurrentOf.set(limits, found);
  }
  return found;
}

function unauthenticated(found: Case, id: string, result: Asked, credentials: CredentialRefusal): Verdict {
  return { ...refused(found, id, result, 'unauthenticated', null), credentials };
}

/** Without Redis: the state of the limit came with the refusal. */
function tooManyRefused(
  found: Case,
  id: string,
  address: RefusalOfAddress,
  reason: 'unauthenticated' | 'invalid',
): Verdict {
  const { state } = address;
  const verdict = refused(found, id, { ...unasked, states: [state] }, reason, state.retryAfterMs);
  const { identity } = found.policy;
  return reason === 'invalid'
    ? { ...verdict, address, limits: identity.invalid }
    : { ...verdict, address, credentials: address, limits: identity.refused };
}

interface Block {
  readonly untilMs: number | null;
  readonly reason: string;
}

function blocked(found: Case, id: string, result: CheckResult, block: Block): Verdict {
  const retryAfterMs = block.untilMs === null ? null : block.untilMs - found.atMs;
  return { ...refused(found, id, result, 'blocked', retryAfterMs), block };
}

/** Why and until when the tenant is blocked; null where it is not. */
export function blockOf(record: TenantRecord | null, nowMs: number): Block | null {
  const block = record?.block;
  if (block === undefined || !isBlocked(record, nowMs)) return null;
  return { untilMs: block.until === null ? null : Date.parse(block.until), reason: block.reason };
}

function refused(
  found: Case,
  id: string,
  result: Asked,
  reason: RefusalReason,
  retryAfterMs: number | null,
): Verdict {
  const { states, degraded, checkMicros } = result;
  const made = { id, outcome: 'limited' as const, reason, limitedBy: [reason], retryAfterMs, delayMs: 0 };
  return verdictOf(found, { ...made, limits: states, degraded, checkMicros }, nothing);
}

/** A service is under no limit, so its limits stand untouched, and Redis is not needed to say so. */
function bypass(found: Case, id: string): Verdict {
  const { states, degraded, checkMicros } = untouched(found);
  const made = { id, outcome: 'bypassed' as const, reason: null, limitedBy: noNames, retryAfterMs: null };
  return verdictOf(found, { ...made, delayMs: 0, limits: states, degraded, checkMicros }, nothing);
}

type Asked = Pick<CheckResult, 'states' | 'degraded' | 'checkMicros'>;
const unasked: Asked = { states: [], degraded: false, checkMicros: 0 };

/** How limits stand for a caller that is under none of them. */
function untouched({ limits, atMs }: Case): Asked {
  const windows = limits.filter(({ type }) => type !== 'concurrent');
  return { ...unasked, states: windows.map((limit) => untouchedState(limit, atMs)) };
}

const nothing = (): void => undefined;

function verdictOf(
  { question, policy, plan, read, limits, units, atMs, clock }: Case,
  decision: Decision,
  release: () => void,
): Verdict {
  const identity: Identity = question.who.identity;
  const { target, route, unreadable } = read;
  return {
    decision,
    identity,
    policy,
    plan,
    route,
    limits,
    units,
    method: question.method,
    path: target === null ? writtenPath(question.url) : target.path,
    target,
    atMs,
    decidedAtMs: clock.now(),
    unreadable,
    credentials: null,
    address: null,
    block: null,
    release,
  };
}
