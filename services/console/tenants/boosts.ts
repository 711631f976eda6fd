import { v7 as uuidv7 } from 'uuid';
import type { Boost, TenantRecord } from '../../../shared/domain/tenant.ts';
import { instantExample, readInstant } from '../../../shared/domain/time/instant.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import { limitNames } from '../../../shared/tenants/policy-faults.ts';
import { stamp } from '../pages/format.ts';
import { done, refused } from '../problem.ts';
import type { Outcome } from '../problem.ts';
import type { Edit } from './records.ts';

export interface BoostRequest {
  readonly limit: string;
  readonly multiply?: number;
  readonly set_to?: number;
  /** ISO 8601; absent: now. */
  readonly starts_at?: string;
  readonly ends_at: string;
  readonly reason: string;
  readonly actor: string;
}

/** Boosts of one tenant that have not ended. More would be a plan of its own. */
const boostsMax = 20;
/** How long ended boosts stay in the record, so that "why was it higher last week" has an answer. */
const endedKeptMs = 30 * 86_400_000;

export function addBoost(
  record: TenantRecord,
  request: BoostRequest,
  policy: Policy,
  nowMs: number,
): Outcome<Edit & { readonly boost: Boost }> {
  const mistake = mistakeIn(request, policy);
  if (mistake !== null) return refused(422, 'Boost not granted', mistake);
  const span = spanOf(request, nowMs);
  if (typeof span === 'string') return refused(422, 'Boost not granted', span);
  const { startsMs, endsMs } = span;
  const kept = (record.boosts ?? []).filter((boost) => Date.parse(boost.ends_at) > nowMs - endedKeptMs);
  if (kept.filter((boost) => Date.parse(boost.ends_at) > nowMs).length >= boostsMax)
    return refused(409, 'Boost not granted', `This tenant already has ${boostsMax} boosts; end one first.`);
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
  const detail = `Limit “${boost.limit}” ${sizeOf(boost)} until ${stamp(boost.ends_at)}${startsMs > nowMs ? ` from ${stamp(boost.starts_at)} on` : ''}: ${boost.reason}`;
  return done({ boost, record: { ...record, boosts: [...kept, boost] }, action: 'boost', detail });
}

/** Ends a boost now. One that has not begun is taken out; one that ran stays, with its end cut to now. */
export function endBoost(record: TenantRecord, boostId: string, nowMs: number): Outcome<Edit> {
  const boosts = record.boosts ?? [];
  const boost = boosts.find((candidate) => candidate.id === boostId);
  if (boost === undefined || Date.parse(boost.ends_at) <= nowMs)
    return refused(404, 'No such boost', 'The tenant has no running or planned boost with this id.');
  const begun = Date.parse(boost.starts_at) < nowMs;
  const ended = { ...boost, ends_at: new Date(nowMs).toISOString() };
  const others = boosts.filter((candidate) => candidate.id !== boostId);
  return done({
    record: { ...record, boosts: begun ? [...others, ended] : others },
    action: 'boost-end',
    detail: `Boost of limit “${boost.limit}” (${sizeOf(boost)}) ended; it would have run until ${stamp(boost.ends_at)}`,
  });
}

export type BoostPhase = 'planned' | 'running' | 'ended';

export function phaseOf(boost: Boost, nowMs: number): BoostPhase {
  if (Date.parse(boost.ends_at) <= nowMs) return 'ended';
  return Date.parse(boost.starts_at) > nowMs ? 'planned' : 'running';
}

/** `× 2` or `set to 500`. */
export function sizeOf(boost: Boost): string {
  return boost.multiply === undefined ? `set to ${String(boost.set_to)}` : `× ${boost.multiply}`;
}

function mistakeIn(request: BoostRequest, policy: Policy): string | null {
  const known = limitNames(policy);
  if (!known.includes(request.limit))
    return `The policy has no limit “${request.limit}”. It has: ${known.join(', ')}.`;
  if ((request.multiply === undefined) === (request.set_to === undefined))
    return 'Give either multiply or set_to.';
  const size = request.multiply ?? request.set_to ?? Number.NaN;
  if (!(size >= 0) || !Number.isFinite(size) || request.multiply === 0) return 'Give a number above 0.';
  if (request.reason === '') return 'Say why: the history keeps it.';
  return null;
}

/** When the boost runs, or a sentence on what is wrong with its times. */
function spanOf(
  request: BoostRequest,
  nowMs: number,
): { readonly startsMs: number; readonly endsMs: number } | string {
  const startsMs = request.starts_at === undefined ? nowMs : readInstant(request.starts_at);
  const endsMs = readInstant(request.ends_at);
  if (startsMs === null) return `starts_at is not an RFC 3339 time; write it as ${instantExample}.`;
  if (endsMs === null) return `ends_at is not an RFC 3339 time; write it as ${instantExample}.`;
  if (endsMs <= startsMs) return 'ends_at must be after starts_at.';
  if (endsMs <= nowMs) return 'ends_at is already past.';
  return { startsMs, endsMs };
}
