import { textOfViolations } from '../runtime/http/schema-violations.ts';
import type { Violation } from '../runtime/http/schema-violations.ts';

/** Why a tenant was not changed or read, as a value. The admin API answers it as a problem, the console as a page. */
export interface ChangeRejection {
  readonly ok: false;
  readonly status: 400 | 404 | 409 | 412 | 422 | 501 | 503;
  readonly title: string;
  /** A sentence that says what to do about it. */
  readonly detail: string;
  /** Violations of the record's contract, each with its field. */
  readonly violations?: readonly Violation[];
}

export interface Success<Value> {
  readonly ok: true;
  readonly value: Value;
}

export type Outcome<Value> = Success<Value> | ChangeRejection;

export function success<Value>(value: Value): Success<Value> {
  return { ok: true, value };
}

export function rejection(status: ChangeRejection['status'], title: string, detail: string): ChangeRejection {
  return { ok: false, status, title, detail };
}

/** The rejection of a document that violates its contract. */
export function contractRejection(violations: readonly Violation[], title: string): ChangeRejection {
  return { ok: false, status: 422, title, detail: textOfViolations(violations, 'The body'), violations };
}
