import { hasShape, isFiniteNumber } from './shape.ts';
import type { Check } from './shape.ts';

/**
 * Value of `tollgate.session-ends.v1`: a portal link or a session that ended before its time, or all of one owner.
 * `untilMs`: when its token expires anyway. `validFromMs`: everything of the owner that began until then has ended.
 */
export type SessionEnd =
  | { readonly owner: string; readonly untilMs: number }
  | { readonly owner: string; readonly validFromMs: number };

/** Key of the end of one link or session. */
export function idKey(id: string): string {
  return `id ${id}`;
}

/** Key of the end of everything that an owner has. */
export function ownerKey(owner: string): string {
  return `all ${owner}`;
}

/** The later end of an owner replaces the earlier, also in another partition. An id ends only once. */
export function versionOfEnd(end: SessionEnd | null): number {
  return end !== null && 'validFromMs' in end ? end.validFromMs : 0;
}

const isText: Check = (value) => typeof value === 'string';

/** Reads a value of the topic; undefined where it is not a valid one. */
export function readSessionEnd(value: Buffer): SessionEnd | undefined {
  try {
    const end: unknown = JSON.parse(value.toString());
    if (hasShape<{ owner: string; untilMs: number }>(end, { owner: isText, untilMs: isFiniteNumber })) {
      return { owner: end.owner, untilMs: end.untilMs };
    }
    return hasShape<{ owner: string; validFromMs: number }>(end, {
      owner: isText,
      validFromMs: isFiniteNumber,
    })
      ? { owner: end.owner, validFromMs: end.validFromMs }
      : undefined;
  } catch {
    return undefined;
  }
}
