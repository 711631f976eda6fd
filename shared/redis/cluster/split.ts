import type { LimitState } from '../../domain/limit.ts';
import { admits, isValidRequest } from '../decision/check.ts';
import type { CheckRequest } from '../decision/check.ts';
import type { DecidedCheck } from '../decision/dispatch.ts';
import type { PendingCheck } from '../decision/batch.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';

/**
 * Decides a check whose windows are in several slots of a cluster, such as a tenant's slot and an address's slot. One script
 * cannot write to both, so the check has one part for each slot and two steps:
 *
 * 1. Peek at all parts in parallel. If one part has no room, no part is charged.
 * 2. Charge all parts in parallel. If one part has no room any more, return the units of the other parts.
 *
 * No limit is ever exceeded, because each part is charged only where its own limits have room. Units that are charged and then
 * returned may cause other requests to be refused in between.
 */
export async function decideInParts(
  check: PendingCheck,
  decide: (part: PendingCheck) => Promise<DecidedCheck>,
  returnUnits: (part: PendingCheck, decided: DecidedCheck) => void,
): Promise<DecidedCheck> {
  const parts = partsOf(check);
  const isPassed = (decided: DecidedCheck): boolean => passes(decided, check.request);
  const peeked = await Promise.all(
    parts.map(({ part }) => decide({ ...part, request: { ...part.request, peek: true } })),
  );
  if (check.request.peek || !isValidRequest(check.request) || !peeked.every(isPassed))
    return joinParts(check, parts, peeked);
  const charged = await Promise.all(parts.map(({ part }) => decide(part)));
  if (charged.every(isPassed)) return joinParts(check, parts, charged);
  const decisions = charged.map((decided, index) => {
    const before = peeked[index];
    const part = parts[index]?.part;
    if (!isPassed(decided) || before === undefined || part === undefined) return decided;
    returnUnits(part, decided);
    return before;
  });
  return joinParts(check, parts, decisions);
}

/** True when the subjects of a check are not all in one slot. */
export function spansSlots({ subjects }: PendingCheck): boolean {
  const tag = subjects[0]?.tag;
  return subjects.some((subject) => subject.tag !== tag);
}

/** The windows of a check that are in one slot, as a separate check. */
export interface Part {
  readonly part: PendingCheck;
  /** For each window of the part, its index in the whole check. */
  readonly indexes: readonly number[];
}

export function partsOf({ request, shape, subjects }: PendingCheck): Part[] {
  const tags = [...new Set(subjects.map(({ tag }) => tag))];
  return tags.map((tag) => {
    const indexes = shape.windows.map((_, index) => index).filter((index) => subjectAt(index)?.tag === tag);
    const own = subjects.filter((subject) => subject.tag === tag);
    const partShape: Shape = {
      windows: shape.windows.filter((_, index) => indexes.includes(index)),
      subjects: shape.subjects.filter((_, index) => subjects[index]?.tag === tag),
      subjectOf: indexes.map((index) => own.findIndex((subject) => subject === subjectAt(index))),
      calendars: shape.calendars.filter((_, index) => indexes.includes(index)),
      isOfLimits: shape.isOfLimits,
      quantities: shape.quantities,
      quantityOf: shape.quantityOf.filter((_, index) => indexes.includes(index)),
      leaseMs: 0,
    };
    return { part: { request, shape: partShape, subjects: own }, indexes };
  });

  function subjectAt(windowIndex: number): Subject | undefined {
    return subjects[shape.subjectOf[windowIndex] ?? 0];
  }
}

export function passes(
  { states, degraded }: DecidedCheck,
  { redisOnly }: Pick<CheckRequest, 'redisOnly'>,
): boolean {
  if (redisOnly === true && degraded) return false;
  return admits(states);
}

export function joinParts(
  check: PendingCheck,
  parts: readonly Part[],
  decisions: readonly DecidedCheck[],
): DecidedCheck {
  const states: LimitState[] = [];
  parts.forEach(({ indexes }, part) => {
    indexes.forEach((index, at) => {
      const state = decisions[part]?.states[at];
      if (state !== undefined) states[index] = state;
    });
  });
  if (states.length !== check.shape.windows.length) throw new Error('A part of a check was not decided');
  const degraded = decisions.some((decided) => decided.degraded);
  return { states, degraded, countedAtMs: 0, redisTimeMs: decisions[0]?.redisTimeMs ?? 0, stored: null };
}
