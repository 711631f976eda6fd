import type { Limit } from '../../../shared/domain/limit.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { calendarOf } from '../../../shared/domain/quota.ts';
import { isExempt } from '../../../shared/policy/exempt.ts';
import type { CredentialRejection } from '../../../shared/identity/credential-reading.ts';
import type { CheckRequest, CheckResult } from '../../../shared/redis/decision/check.ts';
import type { Permit } from '../../../shared/redis/leases/permits.ts';
import type { Fault } from '../transport/fault.ts';
import { bypassedVerdict, checkedVerdict, untouchedLimits } from './build-verdict.ts';
import { writeDetails } from '../reservations/reserved-call.ts';
import type { Reserve } from '../reservations/reserved-call.ts';
import { resolveInputs } from './decision-inputs.ts';
import type { DecisionDependencies, DecisionInputs, DecisionRequest } from './decision-inputs.ts';
import {
  addressRejectedVerdict,
  blockOf,
  blockedVerdict,
  credentialRejectedVerdict,
  invalidVerdict,
  scopeRejectedVerdict,
  unavailableVerdict,
} from './rejections.ts';
import type { Verdict } from './verdict.ts';

type OnVerdict = (verdict: Verdict) => void;

/**
 * Decides about a request under a policy, in the same way for every entrypoint. The first of these rules that applies
 * decides:
 *
 * 1. An address over its limit of invalid credentials is refused, without a call to Redis.
 * 2. A request that cannot be read is refused, regardless of its caller, and charged to its address.
 * 3. A request from a service passes; no limit applies to it.
 * 4. An invalid credential is refused.
 * 5. A blocked tenant is refused.
 * 6. A request outside the scope of its API key is refused. The scope does not apply to calls of the API listener that
 *    are no decision about a request; the listener checks it for those.
 * 7. A request of an exempt route or address passes. Preflights and calls of the API listener are not exempt: their
 *    limits are in `request.applicable`.
 * 8. The limits decide. If the request needs a permit, the concurrent limits decide first, then the limits that count
 *    units. A request that must not be decided without Redis is refused if Redis does not answer.
 *
 * Rules 2, 4, 5 and 6 read the limits without charging them, so that the response can state them.
 *
 * `onVerdict` is called once, possibly before this function returns, and must not throw. The whole path to Redis uses
 * callbacks, because a promise for each step would cost more time than the decision.
 */
export function decide(
  dependencies: DecisionDependencies,
  policy: Policy,
  request: DecisionRequest,
  onVerdict: OnVerdict,
): void {
  const inputs = resolveInputs(dependencies, policy, request);
  const { identity, rejection } = request.caller;
  const { unreadable } = inputs.readings;
  if (rejection?.status === 429) {
    onVerdict(addressRejectedVerdict(inputs, rejection, 'unauthenticated'));
    return;
  }
  if (unreadable !== null) {
    refuseUnreadable(inputs, unreadable, onVerdict);
    return;
  }
  if (identity.service !== null) {
    onVerdict(bypassedVerdict(inputs));
    return;
  }
  if (rejection !== null) {
    refuseCredential(inputs, rejection, onVerdict);
    return;
  }
  const block = blockOf(inputs.record, inputs.atMs);
  if (block !== null) readLimits(inputs, (result) => onVerdict(blockedVerdict(inputs, result, block)));
  else if (!isInScope(inputs))
    readLimits(inputs, (result) => onVerdict(scopeRejectedVerdict(inputs, result)));
  else if (passesExempt(policy, inputs)) onVerdict(bypassedVerdict({ ...inputs, units: 0 }));
  else if (request.hold) acquirePermit(inputs, onVerdict);
  else checkLimits(inputs, request.peek, (result) => onVerdict(verdictOfLimits(inputs, result, null)));
}

function isInScope({ request, readings: { target } }: DecisionInputs): boolean {
  const scope = request.caller.identity.apiKey?.scope ?? null;
  if (scope === null || request.applicable !== undefined || request.exemptBy === 'nothing') return true;
  return target !== null && scope.allowsRequest(request.method, target);
}

function passesExempt(policy: Policy, { request, readings: { route, target } }: DecisionInputs): boolean {
  const { exemptBy, applicable, caller } = request;
  if (exemptBy === 'nothing' || applicable !== undefined) return false;
  return isExempt(policy, route, target?.path ?? '', exemptBy === 'route' ? null : caller.identity.ip);
}

/**
 * Two kinds of requests that cannot be served are charged to no address, so their refusal makes no call to Redis:
 * requests on a connection beyond the bound of open connections (429 or 503), and requests of a service, because no
 * limit applies to services.
 */
function refuseUnreadable(inputs: DecisionInputs, { status }: Fault, onVerdict: OnVerdict): void {
  const { identity } = inputs.request.caller;
  if (status === 429 || status === 503 || identity.service !== null) {
    onVerdict(invalidVerdict(inputs, untouchedLimits(inputs)));
    return;
  }
  inputs.dependencies.invalidRequests.charge(identity, (rejection) => {
    if (rejection !== null) onVerdict(addressRejectedVerdict(inputs, rejection, 'invalid'));
    else readLimits(inputs, (result) => onVerdict(invalidVerdict(inputs, result)));
  });
}

/**
 * A credential that cannot be verified at this moment (503) is charged to no address, so its refusal makes no call to
 * Redis.
 */
function refuseCredential(
  inputs: DecisionInputs,
  rejection: CredentialRejection,
  onVerdict: OnVerdict,
): void {
  if (rejection.status === 503)
    onVerdict(credentialRejectedVerdict(inputs, untouchedLimits(inputs), rejection));
  else readLimits(inputs, (result) => onVerdict(credentialRejectedVerdict(inputs, result, rejection)));
}

/**
 * `acquire` returns a permit from this node's lease synchronously; it returns a promise only if Redis has to grant the
 * permit.
 */
function acquirePermit(inputs: DecisionInputs, onVerdict: OnVerdict): void {
  const { policy, limits, request, dependencies } = inputs;
  const permit = dependencies.concurrency.acquire(concurrentLimits(policy, limits), request.caller.identity);
  if (permit instanceof Promise)
    void permit.then((acquired) => chargeUnderPermit(inputs, acquired, onVerdict));
  else chargeUnderPermit(inputs, permit, onVerdict);
}

/**
 * Charges the rate limits after the permit was acquired, and releases the permit if a limit refuses. A request that
 * gets no permit consumes no units, and a request that a limit refuses holds no permit.
 */
function chargeUnderPermit(inputs: DecisionInputs, permit: Permit, onVerdict: OnVerdict): void {
  const isRefused = !permit.granted || (permit.degraded && inputs.request.redisOnly === true);
  checkLimits(inputs, isRefused, (result) => {
    const verdict = verdictOfLimits(inputs, result, permit);
    if (verdict.decision.outcome === 'limited') permit.release();
    onVerdict(verdict);
  });
}

/** The limits decide, or if the request must not be decided without Redis and was, it is refused: it has charged nothing. */
function verdictOfLimits(inputs: DecisionInputs, result: CheckResult, permit: Permit | null): Verdict {
  const degraded = result.degraded || permit?.degraded === true;
  if (degraded && inputs.request.redisOnly === true) return unavailableVerdict(inputs, result);
  return checkedVerdict(inputs, result, permit);
}

/** Reads the state of the limits and charges nothing. */
function readLimits(inputs: DecisionInputs, onResult: (result: CheckResult) => void): void {
  checkLimits(inputs, true, onResult);
}

/** Calls the limiter with all limits of the request that count units. With `peek`, nothing is charged. */
function checkLimits(inputs: DecisionInputs, peek: boolean, onResult: (result: CheckResult) => void): void {
  const {
    request,
    record,
    limits,
    units,
    attributes,
    dependencies: { limiter },
  } = inputs;
  const { tenantId, userId, ip } = request.caller.identity;
  const groupId = record?.group ?? null;
  const calendar = calendarOf(record);
  const check = { tenantId, userId, ip, groupId, attributes, limits, cost: units, peek, calendar };
  const { waitMsMax, reserve, withUse, redisOnly } = request;
  const isPlain =
    waitMsMax === undefined && reserve === undefined && redisOnly === undefined && withUse !== true;
  if (isPlain) limiter.checkWith(check, onResult);
  else {
    limiter.checkWith(
      {
        ...check,
        ...(waitMsMax === undefined ? {} : { waitMsMax }),
        ...(redisOnly === undefined ? {} : { redisOnly }),
        ...(reserve === undefined ? {} : reservedCheck(inputs, reserve, peek)),
        ...(withUse === true ? { withUse } : {}),
      },
      onResult,
    );
  }
}

/** The amounts of a request, and unless it is only read, the reservation that Redis stores. */
function reservedCheck(
  { reservedCall: call }: DecisionInputs,
  { amounts, id, expiresMs }: Reserve,
  peek: boolean,
): Pick<CheckRequest, 'amounts' | 'reservation'> {
  if (peek || call === null) return { amounts };
  return { amounts, reservation: { id: id ?? call.decisionId, expiresMs, details: writeDetails(call) } };
}

const concurrentOf = new WeakMap<readonly Limit[], readonly Limit[]>();

/**
 * Returns the concurrent limits of the platform and of the request. The same `limits` array always gives the same
 * result array, so that `Concurrency` compiles these limits only once.
 */
function concurrentLimits(policy: Policy, limits: readonly Limit[]): readonly Limit[] {
  let concurrent = concurrentOf.get(limits);
  if (concurrent === undefined) {
    concurrent = [...policy.shares, ...policy.platform, ...limits].filter(
      ({ type }) => type === 'concurrent',
    );
    concurrentOf.set(limits, concurrent);
  }
  return concurrent;
}
