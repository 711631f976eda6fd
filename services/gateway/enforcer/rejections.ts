import type { RefusalReason } from '../../../shared/domain/decision.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import type { CredentialRejection, AddressRejection } from '../../../shared/identity/credential-reading.ts';
import { isBlocked } from '../../../shared/policy/match.ts';
import { releaseNothing, verdictOf } from './build-verdict.ts';
import type { LimitsReading } from './build-verdict.ts';
import type { DecisionInputs } from './decision-inputs.ts';
import type { Block, Verdict } from './verdict.ts';

/** Builds the verdict of a request that cannot be read or served. */
export function invalidVerdict(inputs: DecisionInputs, reading: LimitsReading): Verdict {
  const seconds = inputs.readings.unreadable?.retryAfterSeconds ?? null;
  return rejectedVerdict(inputs, reading, 'invalid', seconds === null ? null : seconds * 1_000);
}

/** Wait after which a credential that could not be verified is to be sent again. */
const undecidedWaitMs = 1_000;

/** Builds the verdict of a caller whose credential was not accepted. */
export function credentialRejectedVerdict(
  inputs: DecisionInputs,
  reading: LimitsReading,
  credentialRejection: CredentialRejection,
): Verdict {
  const retryAfterMs = credentialRejection.status === 503 ? undecidedWaitMs : null;
  return { ...rejectedVerdict(inputs, reading, 'unauthenticated', retryAfterMs), credentialRejection };
}

/**
 * Builds the verdict of an address that is over its limit of invalid credentials or of requests that cannot be served.
 * Redis is not called, because the rejection already has the state of the limit.
 */
export function addressRejectedVerdict(
  inputs: DecisionInputs,
  addressRejection: AddressRejection,
  reason: 'unauthenticated' | 'invalid',
): Verdict {
  const { state } = addressRejection;
  const reading: LimitsReading = { states: [state], degraded: false, checkMicros: 0 };
  const verdict = rejectedVerdict(inputs, reading, reason, state.retryAfterMs);
  const { refused, invalid } = inputs.policy.identity;
  return reason === 'invalid'
    ? { ...verdict, addressRejection, limits: invalid }
    : { ...verdict, addressRejection, credentialRejection: addressRejection, limits: refused };
}

/** Builds the verdict of a request that must not be decided without Redis, while Redis is unavailable. */
export function unavailableVerdict(inputs: DecisionInputs, reading: LimitsReading): Verdict {
  return rejectedVerdict(inputs, { ...reading, degraded: true }, 'unavailable', unavailableWaitMs);
}

/** Builds the verdict of a tenant that an operator blocked. */
export function blockedVerdict(inputs: DecisionInputs, reading: LimitsReading, block: Block): Verdict {
  const retryAfterMs = block.untilMs === null ? null : block.untilMs - inputs.atMs;
  return { ...rejectedVerdict(inputs, reading, 'blocked', retryAfterMs), block };
}

/** Builds the verdict of a request that its API key may not send. */
export function scopeRejectedVerdict(inputs: DecisionInputs, reading: LimitsReading): Verdict {
  return rejectedVerdict(inputs, reading, 'out_of_scope', null);
}

/** Returns the block that applies to a tenant at `nowMs`, or null. */
export function blockOf(record: TenantRecord | null, nowMs: number): Block | null {
  const block = record?.block;
  if (block === undefined || !isBlocked(record, nowMs)) return null;
  return { untilMs: block.until === null ? null : Date.parse(block.until), reason: block.reason };
}

/** After this time, Redis may be available again. */
const unavailableWaitMs = 1_000;

function rejectedVerdict(
  inputs: DecisionInputs,
  { states, degraded, checkMicros }: LimitsReading,
  reason: RefusalReason,
  retryAfterMs: number | null,
): Verdict {
  const decision = {
    id: inputs.reservedCall?.decisionId ?? inputs.dependencies.nextId(),
    outcome: 'limited' as const,
    reason,
    limits: states,
    limitedBy: [reason],
    retryAfterMs,
    delayMs: 0,
    degraded,
    checkMicros,
  };
  return verdictOf(inputs, decision, releaseNothing);
}
