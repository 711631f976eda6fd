import type { IncomingHttpHeaders } from 'node:http';
import type { Attributes, Limit } from '../../../shared/domain/limit.ts';
import { costOf, noPrice } from '../../../shared/domain/money.ts';
import type { Plan, Policy, Route } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { attributesOf } from '../../../shared/policy/attributes.ts';
import { limitsFor } from '../../../shared/policy/match.ts';
import type { ApplicableLimits } from '../../../shared/policy/match.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { TraceHeaders } from '../../../shared/runtime/tracing/tracing.ts';
import type { Identified, TenantRecords } from './identify.ts';
import type { InvalidRequestLimit } from './invalid-request-limit.ts';
import { withOverride } from './limit-override.ts';
import type { LimitOverride } from './limit-override.ts';
import { readRequest } from './read-request.ts';
import type { RawRequest, RequestReadings } from './read-request.ts';
import type { Reserve, ReservedCall } from '../reservations/reserved-call.ts';

/** A request that the enforcer has to decide about. */
export interface DecisionRequest extends RawRequest {
  readonly caller: Identified;
  /**
   * What can exempt the request from all limits. `route`: its route only, because the address of its client is not known.
   * `nothing`: the state of the caller's limits is read, not that of a request. Absent: its route and the address of its
   * client.
   */
  readonly exemptBy?: 'route' | 'nothing';
  /** Units to charge. If null, the cost of the route is charged. */
  readonly cost: number | null;
  /** True to read the state of the limits without charging them. */
  readonly peek: boolean;
  /** With `peek`: the states of the limits have their `use`. */
  readonly withUse?: boolean;
  /**
   * True if the request needs a permit under the concurrent limits. It holds the permit until `Verdict.release` is
   * called.
   */
  readonly hold: boolean;
  /** Plan that a trusted caller names. A plan in the tenant's record has precedence. */
  readonly plan: string | null;
  /** Limits that decide about the request. If absent, the limits of plan, route and platform decide. */
  readonly applicable?: ApplicableLimits;
  /** A limit that a trusted caller sends in place of the plan's limits. */
  readonly override?: LimitOverride;
  /** Header fields of the request, for attributes. */
  readonly headers?: IncomingHttpHeaders;
  /** Attributes that a trusted caller states. */
  readonly attributes?: Attributes;
  /**
   * Longest wait for Redis in milliseconds; after it, this node decides without Redis. If absent, the limiter's own
   * timeout applies.
   */
  readonly waitMsMax?: number;
  /** Header fields that may state the trace of the request, if they are not in `headers`. */
  readonly traceHeaders?: TraceHeaders;
  /** `performance.now()` when the request arrived, for its span; absent: now. */
  readonly receivedAt?: number;
  /** True to refuse the request with 503 if it is decided without Redis. It then charges nothing. */
  readonly redisOnly?: boolean;
  /** Amounts to reserve, for a call whose usage is known only after it. Absent: the request charges its units only. */
  readonly reserve?: Reserve;
}

/** Services and data that `decide` uses; one object for all decisions of an enforcer. */
export interface DecisionDependencies {
  readonly limiter: Pick<Limiter, 'checkWith'>;
  readonly concurrency: Pick<Concurrency, 'acquire'>;
  readonly records: TenantRecords;
  readonly invalidRequests: InvalidRequestLimit;
  readonly clock: Clock;
  readonly nextId: () => string;
  readonly node: string;
}

/** Inputs of one decision, resolved before Redis is called. */
export interface DecisionInputs {
  readonly dependencies: DecisionDependencies;
  readonly policy: Policy;
  readonly request: DecisionRequest;
  readonly record: TenantRecord | null;
  readonly plan: Plan;
  readonly limits: readonly Limit[];
  readonly readings: RequestReadings;
  readonly units: number;
  /** The call of a request that reserves amounts: Redis stores it, and its id is the id of the decision. Null for all others. */
  readonly reservedCall: ReservedCall | null;
  /** Values of the attributes that the limits count. */
  readonly attributes: Attributes | undefined;
  /** Unix milliseconds at which the decision began. */
  readonly atMs: number;
}

/** Resolves record, route, limits and units of a request from memory, without a call to another process. */
export function resolveInputs(
  dependencies: DecisionDependencies,
  policy: Policy,
  request: DecisionRequest,
): DecisionInputs {
  const { identity } = request.caller;
  const atMs = dependencies.clock.now();
  const record = identity.tenantId === null ? null : (dependencies.records.get(identity.tenantId) ?? null);
  const readings = readRequest(policy, request);
  const { route } = readings;
  const planName = request.plan ?? identity.planClaim;
  const applicable =
    request.applicable ??
    limitsFor(policy, { plan: planName, record, route, nowMs: atMs, reserve: request.reserve !== undefined });
  const { plan, limits } =
    request.override === undefined ? applicable : withOverride(applicable, request.override);
  const units = request.cost ?? route?.cost ?? 1;
  const attributes = policy.countsAttributes ? attributesOf(policy, limits, request, identity) : undefined;
  return {
    dependencies,
    policy,
    request,
    record,
    plan,
    limits,
    readings,
    units,
    attributes,
    reservedCall:
      request.reserve === undefined
        ? null
        : callOf(dependencies, request, request.reserve, route, units, atMs),
    atMs,
  };
}

function callOf(
  { nextId, node }: DecisionDependencies,
  { caller: { identity } }: DecisionRequest,
  { model, owner }: Reserve,
  route: Route | null,
  units: number,
  timeMs: number,
): ReservedCall {
  return {
    decisionId: nextId(),
    source: `tollgate/${node}`,
    tenantId: identity.tenantId,
    userId: identity.userId ?? '',
    timeMs,
    model,
    owner,
    units,
    unitCost: costOf(units, route?.unitPrice ?? noPrice),
  };
}
