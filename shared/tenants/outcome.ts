import { textOfViolations } from '../runtime/http/schema-violations.ts';
import type { Violation } from '../runtime/http/schema-violations.ts';

/** Why an operation on a tenant was rejected. The admin API sends it as a problem, the console as a page. */
export interface ChangeRejection {
  readonly ok: false;
  readonly status: 400 | 403 | 404 | 409 | 412 | 422 | 429 | 501 | 503;
  readonly title: string;
  /** A sentence that says how to correct the request. */
  readonly detail: string;
  /** Name of the field that violates a rule; absent: no single field does. */
  readonly field?: string;
  /** Violations of the record's contract, each with the name of its field. */
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

export function rejection(
  status: ChangeRejection['status'],
  title: string,
  detail: string,
  field?: string,
): ChangeRejection {
  return { ok: false, status, title, detail, ...(field === undefined ? {} : { field }) };
}

/** The rejection of a record or patch that violates the contract of records. */
export function contractRejection(violations: readonly Violation[], title: string): ChangeRejection {
  return { ok: false, status: 422, title, detail: textOfViolations(violations, 'The body'), violations };
}
