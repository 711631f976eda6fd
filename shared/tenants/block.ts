import type { TenantRecord } from '../domain/tenant.ts';
import { instantExample, readInstant } from '../domain/time/instant.ts';
import { formatTime } from '../domain/time/format-time.ts';
import { isBlocked } from '../policy/match.ts';
import { rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import type { Edit } from './records.ts';

export interface BlockRequest {
  /** End of the block, RFC 3339; null: the block lasts until an operator lifts it. */
  readonly until: string | null;
  readonly reason: string;
}

export function block(
  record: TenantRecord,
  request: BlockRequest,
  actor: string,
  nowMs: number,
): Outcome<Edit> {
  if (request.reason === '')
    return rejection(422, 'Not blocked', 'Give a reason: the history keeps it.', 'reason');
  const untilMs = request.until === null ? null : readInstant(request.until);
  if (request.until !== null && untilMs === null)
    return rejection(
      422,
      'Not blocked',
      `until is not an RFC 3339 time; write ${instantExample}, or null.`,
      'until',
    );
  if (untilMs !== null && untilMs <= nowMs)
    return rejection(422, 'Not blocked', 'until is already past.', 'until');
  const until = untilMs === null ? null : new Date(untilMs).toISOString();
  return success({
    record: { ...record, block: { until, reason: request.reason, actor } },
    action: 'block',
    detail: `Blocked until ${until === null ? 'lifted' : formatTime(until)}: ${request.reason}`,
    reason: request.reason,
  });
}

export function unblock(record: TenantRecord): Outcome<Edit> {
  const { block: lifted, ...unblocked } = record;
  if (lifted === undefined)
    return rejection(404, 'Not blocked', 'This tenant is not blocked by an operator.');
  return success({
    record: unblocked,
    action: 'unblock',
    detail: `Block lifted; it was: ${lifted.reason}`,
  });
}

type Block = NonNullable<TenantRecord['block']>;

/** The block of the tenant if it is in force at `nowMs`. */
export function blockNow(record: TenantRecord | null, nowMs: number): Block | null {
  return isBlocked(record, nowMs) ? (record?.block ?? null) : null;
}
