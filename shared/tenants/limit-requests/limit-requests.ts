import { v7 as uuidv7 } from 'uuid';
import type { LimitRequest, TenantRecord } from '../../domain/tenant.ts';
import { counted } from '../../domain/text/counted.ts';
import { durationInWords } from '../../domain/time/format-duration.ts';
import { formatTime } from '../../domain/time/format-time.ts';
import { rejection, success } from '../outcome.ts';
import type { ChangeRejection, Outcome } from '../outcome.ts';
import type { Edit } from '../records.ts';
import { raisableLimits } from './raisable-limits.ts';
import type { LimitContext, RaisableLimit } from './raisable-limits.ts';

/** A tenant's form for a higher limit. Values are in the own unit of what the limit counts. */
export interface NewLimitRequest {
  readonly limit: string;
  readonly wanted: number;
  /** Null: without an end. NaN: not readable. */
  readonly forMs: number | null;
  readonly reason: string;
}

/** Bounds of one tenant, so that its requests fill neither its record nor the list of the operators. */
export const openRequestsMax = 5;
export const requestsPerDayMax = 10;
/** `requestsPerDayMax` closed ones are kept at least: the requests of the last day are counted in the record. */
const keptMax = 20;
const dayMs = 86_400_000;
const durationMsMax = 366 * dayMs;

const notSent = 'Request not sent';

/** The tenant requests a higher value of one limit. */
export function requestLimit(
  record: TenantRecord,
  wanted: NewLimitRequest,
  context: LimitContext,
): Outcome<Edit> {
  const before = record.limit_requests ?? [];
  const limits = raisableLimits(record, context);
  const violation = violationIn(limits, wanted) ?? tooMany(before, wanted.limit, context.nowMs);
  if (violation !== null) return violation;
  const current = limits.find(({ name }) => name === wanted.limit)?.value;
  const request: LimitRequest = {
    id: uuidv7(),
    limit: wanted.limit,
    ...(current === undefined ? {} : { current }),
    wanted: wanted.wanted,
    ...(wanted.forMs === null ? {} : { for_seconds: Math.round(wanted.forMs / 1000) }),
    reason: wanted.reason,
    created_at: new Date(context.nowMs).toISOString(),
    state: 'open',
  };
  return success({
    record: { ...record, limit_requests: [request, ...keptOf(before)] },
    action: 'limit-request',
    detail: `Requested ${requestText(request)}: ${request.reason}`,
  });
}

/** The requests that stay in the record when another one is added: all open ones, and the newest closed ones. */
function keptOf(requests: readonly LimitRequest[]): readonly LimitRequest[] {
  const closed = requests.filter(({ state }) => state !== 'open').slice(0, keptMax - openRequestsMax);
  return requests.filter((request) => request.state === 'open' || closed.includes(request));
}

/** The tenant takes back its open request. */
export function withdrawRequest(
  record: TenantRecord,
  requestId: string,
  actor: string,
  nowMs: number,
): Outcome<Edit> {
  const found = openRequest(record, requestId);
  if (!found.ok) return found;
  return success({
    record: closeRequest(record, found.value, { state: 'withdrawn', closed_by: actor }, nowMs),
    action: 'limit-request-withdraw',
    detail: `Withdrew the request for ${requestText(found.value)}`,
  });
}

/** An operator declines a request. The tenant reads the answer. */
export function declineRequest(
  record: TenantRecord,
  requestId: string,
  { answer, actor }: { readonly answer: string; readonly actor: string },
  nowMs: number,
): Outcome<Edit> {
  const found = openRequest(record, requestId);
  if (!found.ok) return found;
  if (answer === '')
    return rejection(422, 'Not declined', 'Give an answer: the tenant reads why the limit stays.', 'answer');
  return success({
    record: closeRequest(record, found.value, { state: 'declined', closed_by: actor, answer }, nowMs),
    action: 'limit-request-decline',
    detail: `Declined the request for ${requestText(found.value)}: ${answer}`,
  });
}

/** The open request of this id. */
export function openRequest(record: TenantRecord, requestId: string): Outcome<LimitRequest> {
  const request = (record.limit_requests ?? []).find(({ id }) => id === requestId);
  if (request === undefined)
    return rejection(404, 'No such request', 'The tenant has no request of this id.');
  if (request.state !== 'open')
    return rejection(409, 'Already answered', `This request is ${request.state} and cannot be changed.`);
  return success(request);
}

/** The record with the request closed. */
export function closeRequest(
  record: TenantRecord,
  request: LimitRequest,
  closing: Partial<LimitRequest>,
  nowMs: number,
): TenantRecord {
  const closed = { ...request, ...closing, closed_at: new Date(nowMs).toISOString() };
  return {
    ...record,
    limit_requests: (record.limit_requests ?? []).map((one) => (one.id === request.id ? closed : one)),
  };
}

/** What is requested, in words: `limit “minute” at 500 instead of 100 for 7 days`. */
export function requestText({ limit, current, wanted, for_seconds: seconds }: LimitRequest): string {
  const before = current === undefined ? '' : ` instead of ${current}`;
  const span = seconds === undefined ? 'without an end' : `for ${durationInWords(seconds * 1000)}`;
  return `limit “${limit}” at ${wanted}${before} ${span}`;
}

function violationIn(
  limits: readonly RaisableLimit[],
  { limit, wanted, forMs, reason }: NewLimitRequest,
): ChangeRejection | null {
  const wrong = (field: string, detail: string): ChangeRejection => rejection(422, notSent, detail, field);
  const held = limits.find(({ name }) => name === limit);
  if (held === undefined)
    return wrong('limit', `Choose one of your limits: ${limits.map(({ name }) => name).join(', ')}.`);
  if (!Number.isFinite(wanted) || wanted <= 0) return wrong('wanted', 'Give a number above 0.');
  if (Number(wanted.toFixed(held.decimals)) !== wanted)
    return wrong(
      'wanted',
      held.decimals === 0 ? 'Give a whole number.' : `Give at most ${counted(held.decimals, 'decimal')}.`,
    );
  if (held.value !== undefined && wanted <= held.value)
    return wrong('wanted', `Give a number above ${held.value}, which is your limit now.`);
  if (forMs !== null && !(forMs >= 1000 && forMs <= durationMsMax))
    return wrong('for', 'Give a duration of at most 366 days, such as 12h or 7d.');
  if (reason === '') return wrong('reason', 'Give a reason: it is what the answer depends on.');
  return null;
}

function tooMany(before: readonly LimitRequest[], limit: string, nowMs: number): ChangeRejection | null {
  const open = before.filter(({ state }) => state === 'open');
  if (open.some((one) => one.limit === limit))
    return rejection(409, notSent, 'A request for this limit is open already; withdraw it first.', 'limit');
  if (open.length >= openRequestsMax)
    return rejection(409, notSent, `${openRequestsMax} requests are open, which is the most.`);
  const recent = before.filter(({ created_at: at }) => Date.parse(at) > nowMs - dayMs);
  const oldest = recent[requestsPerDayMax - 1];
  if (oldest === undefined) return null;
  const again = formatTime(Date.parse(oldest.created_at) + dayMs);
  return rejection(
    429,
    notSent,
    `${requestsPerDayMax} requests a day are the most; the next is possible ${again}.`,
  );
}
