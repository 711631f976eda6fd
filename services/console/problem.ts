import { textOfFaults } from '../../shared/runtime/http/schema-faults.ts';
import type { Fault } from '../../shared/runtime/http/schema-faults.ts';

/** What an operation of the console refuses, as a value. Rendered as RFC 9457 problem+json or as a page's message. */
export interface Refusal {
  readonly ok: false;
  readonly status: 400 | 404 | 409 | 412 | 422 | 501 | 503;
  readonly title: string;
  /** A sentence that says what to do about it. */
  readonly detail: string;
  /** Where the body has faults: each with its field. */
  readonly faults?: readonly Fault[];
}

export interface Done<Value> {
  readonly ok: true;
  readonly value: Value;
}

export type Outcome<Value> = Done<Value> | Refusal;

export function done<Value>(value: Value): Done<Value> {
  return { ok: true, value };
}

export function refused(status: Refusal['status'], title: string, detail: string): Refusal {
  return { ok: false, status, title, detail };
}

/** The answer to a document that does not hold to its contract. */
export function refusedFor(faults: readonly Fault[], title: string): Refusal {
  return { ok: false, status: 422, title, detail: textOfFaults(faults, 'The body'), faults };
}

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** Each fault of the body, with its field. */
  readonly errors?: readonly { readonly field: string; readonly detail: string }[];
}

export function problem(
  status: number,
  title: string,
  detail: string,
  faults: readonly Fault[] = [],
): Problem {
  const errors = faults.map(({ field, reason }) => ({ field, detail: reason }));
  return { type: 'about:blank', title, status, detail, ...(errors.length === 0 ? {} : { errors }) };
}
