import type { IncomingMessage } from 'node:http';
import type { Measures } from '../../../shared/domain/usage/measures.ts';
import { amountsOf } from '../../../shared/domain/usage/prices.ts';
import type { UsageReading } from '../../../shared/domain/usage/usage-reading.ts';
import type { DecisionRequest } from '../enforcer/decision-inputs.ts';
import type { MeteredRoute } from '../reservations/metered-route.ts';
import type { GuardedRequest } from '../entrypoints/guarded-request.ts';
import { unpriced } from '../reservations/stated-usage.ts';
import { awaitsContinue, sendContinue } from '../transport/expectation.ts';
import type { Fault } from '../transport/fault.ts';
import { upgradeOf } from '../transport/upgrade.ts';
import type { PreparedCall } from '../usage/prepared-call.ts';
import { prepareCall } from '../usage/prepare-call.ts';
import type { CallViolation } from '../usage/request/call-violation.ts';
import { MeteredCall } from './metered-call.ts';
import type { RequestBodies } from './request-bodies.ts';

/**
 * Completes the decision request of a call whose route has `usage`: reads its body, estimates its usage, and adds the
 * amounts to reserve. All other requests are returned unchanged, without a promise. Null if the client left.
 *
 * Callers whose credentials were not accepted are decided without reading their bodies.
 */
export function prepareMetered(
  raw: IncomingMessage,
  decisionRequest: DecisionRequest,
  guarded: GuardedRequest,
  bodies: RequestBodies,
): DecisionRequest | Promise<DecisionRequest | null> {
  const { enforcer } = guarded;
  const route = enforcer.meteredRoute(decisionRequest);
  if (route === null || decisionRequest.caller.rejection !== null) return decisionRequest;
  if (upgradeOf(raw) !== null) return decisionRequest;
  return readAndPrepare(raw, decisionRequest, guarded, bodies, route);
}

/** Most bytes of a request's body after its content coding was removed. */
const decodedBytesMax = 32 * 1024 * 1024;

async function readAndPrepare(
  raw: IncomingMessage,
  decisionRequest: DecisionRequest,
  guarded: GuardedRequest,
  bodies: RequestBodies,
  route: MeteredRoute,
): Promise<DecisionRequest | null> {
  if (awaitsContinue(raw)) sendContinue(raw, guarded.reply.raw);
  const reading = await bodies.read(raw, (stop) => (guarded.end = stop));
  guarded.end = null;
  const stopped = interruption(guarded);
  if (stopped === 'left') return null;
  if (stopped !== null) return { ...decisionRequest, unreadable: stopped };
  if (reading === 'ended') return null;
  if ('fault' in reading) return { ...decisionRequest, unreadable: reading.fault };
  guarded.onEnded(() => bodies.release(reading.body));
  const body = {
    bytes: reading.body,
    coding: raw.headers['content-encoding'] ?? '',
    bytesMax: decodedBytesMax,
  };
  const preparation = await prepareCall(route.usage.format, body, route.reserve);
  const ended = interruption(guarded);
  if (ended === 'left') return null;
  if (ended !== null) return { ...decisionRequest, unreadable: ended };
  if ('violation' in preparation) return { ...decisionRequest, unreadable: faultOf(preparation.violation) };
  return reserveFor(preparation.call, decisionRequest, guarded, route);
}

/** Adds the amounts of the estimate to the decision request, or the reason why they are unknown. */
function reserveFor(
  prepared: PreparedCall,
  decisionRequest: DecisionRequest,
  guarded: GuardedRequest,
  { usage, reserve }: MeteredRoute,
): DecisionRequest {
  const { enforcer, entrypoint } = guarded;
  const reserved = reservedMeasures(prepared, usage);
  const priced = amountsOf(enforcer.policy(), prepared.model, reserved);
  if (priced === null)
    return { ...decisionRequest, unreadable: { status: 400, detail: unpriced(prepared.model) } };
  guarded.call = new MeteredCall({ enforcer, entrypoint, prepared, usage, reserved });
  return {
    ...decisionRequest,
    reserve: { ...priced, model: prepared.model, expiresMs: reserve.expiresMs, owner: 'gateway' },
  };
}

/** What is reserved before the call: of a stream that can be cut, only the first slice of its output. */
function reservedMeasures(
  { estimate, isStream }: PreparedCall,
  { onExhausted, slice }: UsageReading,
): Measures {
  const output = estimate['output_tokens'];
  if (onExhausted === 'finish' || !isStream || output === undefined) return estimate;
  return { ...estimate, output_tokens: Math.min(output, slice) };
}

function faultOf({ code, message }: CallViolation): Fault {
  return { status: code === 'too_large' ? 413 : 400, detail: message };
}

/** Why the request is no longer served; null while it is. */
function interruption({ ended, fault }: GuardedRequest): 'left' | Fault | null {
  return ended ? 'left' : fault;
}
