import { v7 as uuidv7 } from 'uuid';
import type { Policy } from '../domain/policy.ts';
import type { Boost, TenantRecord } from '../domain/tenant.ts';
import { instantExample, readInstant } from '../domain/time/instant.ts';
import { formatTime } from '../domain/time/format-time.ts';
import { rejection, success } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { limitNames } from './record/policy-violations.ts';
import type { Edit } from './records.ts';

export interface BoostRequest {
  readonly limit: string;
  readonly multiply?: number;
  readonly set_to?: number;
  /** Start of the boost, RFC 3339; absent: now. */
  readonly starts_at?: string;
  readonly ends_at: string;
  readonly reason: string;
  readonly actor: string;
}

/** Maximum number of planned boosts and boosts in force of one tenant. A tenant that needs more needs another plan. */
const boostsMax = 20;
/** How long an ended boost stays in the record. Until it is removed, operators see why a limit was higher. */
const endedKeptMs = 30 * 86_400_000;

export function addBoost(
  record: TenantRecord,
  request: BoostRequest,
  policy: Policy,
  nowMs: number,
): Outcome<Edit & { readonly boost: Boost }> {
  const violation = violationIn(request, policy);
  if (violation !== null) return rejection(422, 'Boost not granted', violation.detail, violation.field);
  const times = readTimes(request, nowMs);
  if ('detail' in times) return rejection(422, 'Boost not granted', times.detail, times.field);
  const { startsMs, endsMs } = times;
  const kept = (record.boosts ?? []).filter((boost) => Date.parse(boost.ends_at) > nowMs - endedKeptMs);
  if (kept.filter((boost) => Date.parse(boost.ends_at) > nowMs).length >= boostsMax)
    return rejection(409, 'Boost not granted', `This tenant already has ${boostsMax} boosts; end one first.`);
  const boost: Boost = {
    id: uuidv7(),
    limit: request.limit,
    ...(request.multiply === undefined ? {} : { multiply: request.multiply }),
    ...(request.set_to === undefined ? {} : { set_to: request.set_to }),
    starts_at: new Date(startsMs).toISOString(),
    ends_at: new Date(endsMs).toISOString(),
    reason: request.reason,
    actor: request.actor,
  };
  const start = startsMs > nowMs ? ` from ${formatTime(boost.starts_at)} on` : '';
  const detail = `Limit “${boost.limit}” ${boostSize(boost)} until ${formatTime(boost.ends_at)}${start}: ${boost.reason}`;
  return success({
    boost,
    record: { ...record, boosts: [...kept, boost] },
    action: 'boost',
    detail,
    reason: request.reason,
  });
}

/**
 * Ends a boost now. A planned boost is removed from the record. A boost in force stays in the record and gets `nowMs`
 * as its end.
 */
export function endBoost(record: TenantRecord, boostId: string, nowMs: number): Outcome<Edit> {
  const boosts = record.boosts ?? [];
  const boost = boosts.find((candidate) => candidate.id === boostId);
  if (boost === undefined || Date.parse(boost.ends_at) <= nowMs)
    return rejection(404, 'No such boost', 'The tenant has no running or planned boost with this id.');
  const begun = Date.parse(boost.starts_at) < nowMs;
  const ended = { ...boost, ends_at: new Date(nowMs).toISOString() };
  const others = boosts.filter((candidate) => candidate.id !== boostId);
  return success({
    record: { ...record, boosts: begun ? [...others, ended] : others },
    action: 'boost-end',
    detail: `Boost of limit “${boost.limit}” (${boostSize(boost)}) ended; it would have run until ${formatTime(boost.ends_at)}`,
  });
}

/** Change of the limit in words: `× 2` or `set to 500`. */
export function boostSize(boost: Boost): string {
  return boost.multiply === undefined ? `set to ${String(boost.set_to)}` : `× ${boost.multiply}`;
}

interface FieldViolation {
  readonly field: string;
  /** A sentence that says how to correct the field. */
  readonly detail: string;
}

/** The first violation in the request; null if there is none. Times are checked by `readTimes`. */
function violationIn(request: BoostRequest, policy: Policy): FieldViolation | null {
  const known = limitNames(policy);
  if (!known.includes(request.limit))
    return {
      field: 'limit',
      detail: `The policy has no limit “${request.limit}”. It has: ${known.join(', ')}.`,
    };
  if ((request.multiply === undefined) === (request.set_to === undefined))
    return { field: 'multiply', detail: 'Give either multiply or set_to.' };
  const size = request.multiply ?? request.set_to ?? Number.NaN;
  if (!(size >= 0) || !Number.isFinite(size) || request.multiply === 0)
    return {
      field: request.multiply === undefined ? 'set_to' : 'multiply',
      detail: 'Give a number above 0.',
    };
  if (request.reason === '') return { field: 'reason', detail: 'Give a reason: the history keeps it.' };
  return null;
}

/** Start and end of the boost, or a violation in them. */
function readTimes(
  request: BoostRequest,
  nowMs: number,
): { readonly startsMs: number; readonly endsMs: number } | FieldViolation {
  const startsMs = request.starts_at === undefined ? nowMs : readInstant(request.starts_at);
  const endsMs = readInstant(request.ends_at);
  if (startsMs === null)
    return {
      field: 'starts_at',
      detail: `starts_at is not an RFC 3339 time; write it as ${instantExample}.`,
    };
  if (endsMs === null)
    return { field: 'ends_at', detail: `ends_at is not an RFC 3339 time; write it as ${instantExample}.` };
  if (endsMs <= startsMs) return { field: 'ends_at', detail: 'ends_at must be after starts_at.' };
  if (endsMs <= nowMs) return { field: 'ends_at', detail: 'ends_at is already past.' };
  return { startsMs, endsMs };
}
