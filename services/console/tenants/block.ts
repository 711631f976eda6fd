import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { instantExample, readInstant } from '../../../shared/domain/time/instant.ts';
import { isBlocked } from '../../../shared/policy/match.ts';
import { stamp } from '../pages/format.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from './records.ts';

export interface BlockRequest {
  /** ISO 8601; null until somebody lifts it. */
  readonly until: string | null;
  readonly reason: string;
}

export function block(
  record: TenantRecord,
  request: BlockRequest,
  actor: string,
  nowMs: number,
): Outcome<Edit> {
  if (request.reason === '') return refused(422, 'Not blocked', 'Say why: the history keeps it.');
  const untilMs = request.until === null ? null : readInstant(request.until);
  if (request.until !== null && untilMs === null)
    return refused(422, 'Not blocked', `until is not an RFC 3339 time; write ${instantExample}, or null.`);
  if (untilMs !== null && untilMs <= nowMs) return refused(422, 'Not blocked', 'until is already past.');
  const until = untilMs === null ? null : new Date(untilMs).toISOString();
  return done({
    record: { ...record, block: { until, reason: request.reason, actor } },
    action: 'block',
    detail: `Blocked until ${until === null ? 'lifted' : stamp(until)}: ${request.reason}`,
  });
}

export function unblock(record: TenantRecord): Outcome<Edit> {
  const { block: lifted, ...rest } = record;
  if (lifted === undefined) return refused(404, 'Not blocked', 'This tenant is not blocked by an operator.');
  return done({ record: rest, action: 'unblock', detail: `Block lifted; it was: ${lifted.reason}` });
}

type Block = NonNullable<TenantRecord['block']>;

/** The operator's block if it holds now. */
export function blockNow(record: TenantRecord | null, nowMs: number): Block | null {
  return isBlocked(record, nowMs) ? (record?.block ?? null) : null;
}
