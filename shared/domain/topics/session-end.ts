import { hasShape, isFiniteNumber, isText, listOf } from './shape.ts';
import type { Shape } from './shape.ts';

/**
 * Value of `tollgate.session-ends.v1`. With `untilMs`: one portal link or session was ended early; its token would
 * have expired at `untilMs`. With `validFromMs`: all links and sessions of the owner that began at or before
 * that time have ended; with `kept`, except those with these ids.
 */
export type SessionEnd = EndOfOne | EndOfAll | EndOfOthers;

/** Key of a record that ends one link or session. */
export function idKey(id: string): string {
  return `id ${id}`;
}

/** Key of a record that ends all links and sessions of an owner. */
export function ownerKey(owner: string): string {
  return `all ${owner}`;
}

/**
 * Key of a record that ends all other links and sessions of an owner. The key differs from `ownerKey`, so that this record never
 * replaces the end of all sessions, which also ended the kept ones.
 */
export function othersKey(owner: string): string {
  return `others ${owner}`;
}

/**
 * Version of a record. Of two records that end all sessions of an owner, the one with the later `validFromMs` is
 * used, even if the records are in different partitions. The record of a single link or session is never replaced.
 */
export function versionOfEnd(end: SessionEnd | null): number {
  return end !== null && 'validFromMs' in end ? end.validFromMs : 0;
}

interface EndOfOne {
  readonly owner: string;
  readonly untilMs: number;
}

interface EndOfAll {
  readonly owner: string;
  readonly validFromMs: number;
}

interface EndOfOthers extends EndOfAll {
  readonly kept: readonly string[];
}

/** The fields of the kinds of `SessionEnd`. */
export const endOfOneShape: Shape<EndOfOne> = { owner: isText, untilMs: isFiniteNumber };
export const endOfAllShape: Shape<EndOfAll> = { owner: isText, validFromMs: isFiniteNumber };

export const endOfOthersShape: Shape<EndOfOthers> = { ...endOfAllShape, kept: listOf(isText, 10) };

/** Reads a value of the topic; undefined if it is not valid. */
export function readSessionEnd(value: Buffer): SessionEnd | undefined {
  try {
    const end: unknown = JSON.parse(value.toString());
    if (hasShape(end, endOfOneShape)) return { owner: end.owner, untilMs: end.untilMs };
    if (hasShape(end, endOfOthersShape))
      return { owner: end.owner, validFromMs: end.validFromMs, kept: end.kept };
    return hasShape(end, endOfAllShape) ? { owner: end.owner, validFromMs: end.validFromMs } : undefined;
  } catch {
    return undefined;
  }
}
