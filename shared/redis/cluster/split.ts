import type { LimitState } from '../../domain/limit.ts';
import { isCost } from '../decision/check.ts';
import type { Answer } from '../decision/dispatch.ts';
import type { PendingCheck } from '../decision/batch.ts';
import type { Subject } from '../decision/subjects.ts';
import type { Shape } from '../decision/windows.ts';

/**
 * On a cluster one script cannot touch a tenant's slot and an address's. Such a check is decided in two steps:
 *
 * 1. Look at all parts at once; where one has no room, nothing is taken anywhere.
 * 2. Take from all parts at once. Where one has lost its room since (a race), give back what the others took.
 *
 * Never over, since what is taken is taken under each part's own limit. Between take and return others may be refused.
 */
export async function decideInParts(
  check: PendingCheck,
  ask: (part: PendingCheck) => Promise<Answer>,
  giveBack: (part: PendingCheck, answer: Answer) => void,
): Promise<Answer> {
  const parts = partsOf(check);
  const looked = await Promise.all(
    parts.map(({ part }) => ask({ ...part, request: { ...part.request, peek: true } })),
  );
  if (check.request.peek || !isCost(check.request.cost) || !looked.every(passes))
    return join(check, parts, looked);
  const taken = await Promise.all(parts.map(({ part }) => ask(part)));
  if (taken.every(passes)) return join(check, parts, taken);
  const answers = taken.map((answer, index) => {
    const before = looked[index];
    const part = parts[index]?.part;
    if (!passes(answer) || before === undefined || part === undefined) return answer;
    giveBack(part, answer);
    return before;
  });
  return join(check, parts, answers);
}

/** True when the check's subjects do not share a slot. */
export function spansSlots({ subjects }: PendingCheck): boolean {
  const tag = subjects[0]?.tag;
  return subjects.some((subject) => subject.tag !== tag);
}

interface Part {
  readonly part: PendingCheck;
  /** For each window of the part, its place in the whole check. */
  readonly places: readonly number[];
}

function partsOf({ request, shape, subjects }: PendingCheck): Part[] {
  const tags = [...new Set(subjects.map(({ tag }) => tag))];
  return tags.map((tag) => {
    const places = shape.windows.map((_, index) => index).filter((index) => subjectAt(index)?.tag === tag);
    const own = subjects.filter((subject) => subject.tag === tag);
    const partShape: Shape = {
      windows: shape.windows.filter((_, index) => places.includes(index)),
      subjects: shape.subjects.filter((_, index) => subjects[index]?.tag === tag),
      subjectOf: places.map((place) => own.findIndex((subject) => subject === subjectAt(place))),
      timeZones: shape.timeZones.filter((_, index) => places.includes(index)),
    };
    return { part: { request, shape: partShape, subjects: own }, places };
  });

  function subjectAt(windowIndex: number): Subject | undefined {
    return subjects[shape.subjectOf[windowIndex] ?? 0];
  }
}

function passes({ states }: Answer): boolean {
  return states.every(({ violated, mode }) => !violated || mode === 'shadow');
}

function join(check: PendingCheck, parts: readonly Part[], answers: readonly Answer[]): Answer {
  const states: LimitState[] = [];
  parts.forEach(({ places }, index) => {
    places.forEach((place, at) => {
      const state = answers[index]?.states[at];
      if (state !== undefined) states[place] = state;
    });
  });
  if (states.length !== check.shape.windows.length) throw new Error('A part of a check was not answered');
  return { states, degraded: answers.some(({ degraded }) => degraded), stampMs: 0 };
}
