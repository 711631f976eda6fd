import { LRUCache } from 'lru-cache';
import type { ClickHouseReader } from '../clickhouse/client.ts';
import { createEventsStoredSince } from '../clickhouse/queries/installation/event-retention.ts';
import type { EventsStoredSince } from '../clickhouse/queries/installation/event-retention.ts';
import { listAcceptedTexts } from '../clickhouse/queries/policy/revisions.ts';
import { shadowRefusals } from '../clickhouse/queries/policy/shadow-refusals.ts';
import type { ShadowRefusals } from '../clickhouse/queries/policy/shadow-refusals.ts';
import type { Policy } from '../domain/policy.ts';
import { limitsOf } from '../policy/limits-of.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { checkPolicy } from './policy-editor.ts';

/** A limit in shadow mode, with what it would have refused. */
export interface ShadowLimit extends ShadowRefusals {
  /** Time since which the limit has been in shadow mode, ISO 8601; null: the history has no revision with it. */
  readonly since: string | null;
  /** False if the limit was in shadow mode in the oldest revision that was read: it may have been so for longer. */
  readonly since_is_start: boolean;
}

/** What the limits in shadow mode of a revision of the policy would have refused since a time. */
export interface ShadowResults {
  readonly revision: string;
  readonly sinceMs: number;
  /** Time since which all events are stored, from which the results are counted; null: no event of them is deleted. */
  readonly completeSinceMs: number | null;
  readonly limits: readonly ShadowLimit[];
}

/** Reads the results since a time; since the last `shadowDays` days if none is named. */
export type ShadowReader = (sinceMs?: number) => Promise<ShadowResults>;

/** Days before now of which the results are read, unless the reader names a time. */
export const shadowDays = 7;
/** Results go back at most this many days. */
export const shadowDaysMax = 31;
const dayMs = 86_400_000;
const minuteMs = 60_000;
/** Results are read again after this time. */
const keptMs = 5_000;
/** Results of this many starts are kept. */
const keptMax = 10;
const tenantsMax = 10;
/** This many are read, newest first. A limit in shadow mode in all of them is shown as “at least since” the oldest. */
const revisionsMax = 20;
/** Names of the limits in shadow mode, by revision. */
const namesByRevision = new LRUCache<string, ReadonlySet<string>>({ max: 100 });

/**
 * Returns a reader of the results of the policy in force. All calls for the same minute of the start share one read: those
 * while it runs, and those within some seconds after it. A read that failed is not kept.
 */
export function createShadowReader(
  clickhouse: ClickHouseReader,
  policyInForce: () => Policy,
  clock: Clock,
): ShadowReader {
  const kept = new LRUCache<string, { readonly results: Promise<ShadowResults>; untilMs: number }>({
    max: keptMax,
  });
  const eventsStoredSince = createEventsStoredSince(clickhouse);
  return (wantedMs) => {
    const policy = policyInForce();
    const startMs = wantedMs === undefined ? null : Math.floor(wantedMs / minuteMs) * minuteMs;
    const key = `${policy.revision} ${startMs}`;
    const last = kept.get(key);
    if (last !== undefined && clock.now() < last.untilMs) return last.results;
    const nowMs = clock.now();
    const results = readResults(
      { clickhouse, eventsStoredSince },
      policy,
      startMs ?? nowMs - shadowDays * dayMs,
      nowMs,
    );
    const read = { results, untilMs: Infinity };
    kept.set(key, read);
    results.then(
      () => (read.untilMs = clock.now() + keptMs),
      () => (read.untilMs = 0),
    );
    return results;
  };
}

/** Results of all limits of the policy that are in shadow mode, those that would have refused the most first. */
async function readResults(
  {
    clickhouse,
    eventsStoredSince,
  }: { readonly clickhouse: ClickHouseReader; readonly eventsStoredSince: EventsStoredSince },
  policy: Policy,
  sinceMs: number,
  nowMs: number,
): Promise<ShadowResults> {
  const { revision } = policy;
  const names = [...shadowNames(policy)];
  if (names.length === 0) return { revision, sinceMs, completeSinceMs: null, limits: [] };
  const [refusals, revisions, storedSinceMs] = await Promise.all([
    shadowRefusals(clickhouse, { limits: names, sinceMs, tenantsMax }),
    listAcceptedTexts(clickhouse, revisionsMax),
    eventsStoredSince(nowMs),
  ]);
  const starts = startsOf(new Set(names), revisions);
  const limits = refusals
    .map((refusal) => ({ ...refusal, ...(starts.get(refusal.limit_name) ?? unknownStart) }))
    .toSorted((a, b) => b.requests - a.requests || (a.limit_name < b.limit_name ? -1 : 1));
  const isComplete = storedSinceMs === null || storedSinceMs <= sinceMs;
  return { revision, sinceMs, completeSinceMs: isComplete ? null : storedSinceMs, limits };
}

type Start = Pick<ShadowLimit, 'since' | 'since_is_start'>;

const unknownStart: Start = { since: null, since_is_start: false };

/** Goes from revision to revision, newest first, until one does not have the limit in shadow mode. */
function startsOf(
  limits: ReadonlySet<string>,
  revisions: readonly { readonly at: string; readonly revision: string; readonly text: string }[],
): ReadonlyMap<string, Start> {
  const starts = new Map<string, Start>();
  const open = new Set(limits);
  for (const { at, revision, text } of revisions) {
    const names = namesIn(revision, text);
    for (const limit of open) {
      if (names.has(limit)) {
        starts.set(limit, { since: at, since_is_start: false });
        continue;
      }
      const start = starts.get(limit);
      if (start !== undefined) starts.set(limit, { ...start, since_is_start: true });
      open.delete(limit);
    }
    if (open.size === 0) break;
  }
  return starts;
}

/** A text that this version cannot read any more has no limits. */
function namesIn(revision: string, text: string): ReadonlySet<string> {
  let names = namesByRevision.get(revision);
  if (names === undefined) {
    const checked = checkPolicy(text, null);
    names = checked.valid ? shadowNames(checked.policy) : new Set<string>();
    namesByRevision.set(revision, names);
  }
  return names;
}

/** Names of the limits of the policy that are in shadow mode. */
export function shadowNames(policy: Policy): ReadonlySet<string> {
  const limits = [...limitsOf(policy), ...policy.platform];
  return new Set(limits.filter(({ mode }) => mode === 'shadow').map(({ name }) => name));
}
