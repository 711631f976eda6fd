import { hasRole } from '../../domain/operators/operator.ts';
import type { Role } from '../../domain/operators/operator.ts';
import type { LimitRequest, TenantRecord } from '../../domain/tenant.ts';
import { readInstant } from '../../domain/time/instant.ts';
import { formatTime } from '../../domain/time/format-time.ts';
import { addBoost } from '../boosts.ts';
import { rejection, success } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import type { Edit } from '../records.ts';
import { patchSettings } from '../settings.ts';
import { closeRequest, openRequest, requestText } from './limit-requests.ts';
import { raisableLimits } from './raisable-limits.ts';
import type { LimitContext } from './raisable-limits.ts';

/** How an operator grants a request. */
export interface Approval {
  /** Granted value; absent: as requested. */
  readonly set_to?: number | undefined;
  /** End of the grant, RFC 3339; null: without an end; absent: the requested duration from now on. */
  readonly ends_at?: string | null | undefined;
  /** Text that the tenant reads; absent or empty: none. */
  readonly answer?: string | undefined;
  readonly actor: string;
  /** Role of the operator. Without an end, the approval needs the role `admin`, as every override does. */
  readonly role: Role;
}

/**
 * Grants a request: with an end as a boost, without an end as an override. Answer, boost or override, and the entry of the
 * history are one change of the record.
 */
export function approveRequest(
  record: TenantRecord,
  requestId: string,
  approval: Approval,
  context: LimitContext,
): Outcome<Edit> {
  const found = openRequest(record, requestId);
  if (!found.ok) return found;
  const request = found.value;
  const granted = approval.set_to ?? request.wanted;
  const held = raisableLimits(record, context).find(({ name }) => name === request.limit);
  if (held?.value !== undefined && granted <= held.value)
    return rejection(
      422,
      'Not approved',
      `The limit is ${held.value} now; grant a higher value, or decline the request.`,
      'set_to',
    );
  const endsAt = endOf(request, approval, context.nowMs);
  if (endsAt === null && !hasRole(approval.role, 'admin'))
    return rejection(
      403,
      'Not approved',
      'A higher limit without an end needs the role admin; approve it with an end.',
      'ends_at',
    );
  const raised =
    endsAt === null
      ? overrideLimit(record, request.limit, granted, context)
      : boostLimit(record, request, { granted, endsAt, actor: approval.actor }, context);
  if (!raised.ok) return { ...raised, title: 'Not approved' };
  const { answer = '', actor } = approval;
  const closing: Partial<LimitRequest> = {
    state: 'approved',
    closed_by: actor,
    granted,
    ...(answer === '' ? {} : { answer }),
    ...(endsAt === null ? {} : { ends_at: endsAt }),
    ...raised.value.closing,
  };
  const end = endsAt === null ? 'without an end' : `until ${formatTime(endsAt)}`;
  const said = answer === '' ? '' : `: ${answer}`;
  return success({
    record: closeRequest(raised.value.record, request, closing, context.nowMs),
    action: 'limit-request-approve',
    detail: `Approved the request for ${requestText(request)}; granted ${granted} ${end}${said}`,
  });
}

/** Null: without an end. An unreadable text is returned unchanged, so that the check of the boost rejects it. */
function endOf(
  { for_seconds: seconds }: LimitRequest,
  { ends_at: end }: Approval,
  nowMs: number,
): string | null {
  if (end === null) return null;
  if (end !== undefined) {
    const endMs = readInstant(end);
    return endMs === null ? end : new Date(endMs).toISOString();
  }
  return seconds === undefined ? null : new Date(nowMs + seconds * 1000).toISOString();
}

interface Raised {
  readonly record: TenantRecord;
  readonly closing: Partial<LimitRequest>;
}

function boostLimit(
  record: TenantRecord,
  { limit, reason }: LimitRequest,
  { granted, endsAt, actor }: { readonly granted: number; readonly endsAt: string; readonly actor: string },
  { policy, nowMs }: LimitContext,
): Outcome<Raised> {
  const boost = { limit, set_to: granted, ends_at: endsAt, reason, actor };
  const outcome = addBoost(record, boost, policy, nowMs);
  if (!outcome.ok) return outcome;
  return success({ record: outcome.value.record, closing: { boost_id: outcome.value.boost.id } });
}

function overrideLimit(
  record: TenantRecord,
  limit: string,
  granted: number,
  { policy }: LimitContext,
): Outcome<Raised> {
  const outcome = patchSettings(record, { overrides: { [limit]: granted } }, policy);
  return outcome.ok ? success({ record: outcome.value.record, closing: {} }) : outcome;
}
