import { textOfFaults } from '../runtime/http/schema-faults.ts';
import type { Fault } from '../runtime/http/schema-faults.ts';

/** Why a tenant was not changed or read, as a value. The admin API answers it as a problem, the console as a page. */
export interface ChangeRejection {
  readonly ok: false;
  readonly status: 400 | 404 | 409 | 412 | 422 | 501 | 503;
  readonly title: string;
  /** A sentence that says what to do about it. */
  readonly detail: string;
  /** Violations of the record's contract, each with its field. */
  readonly faults?: readonly Fault[];
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
export function contractRejection(faults: readonly Fault[], title: string): ChangeRejection {
  return { ok: false, status: 422, title, detail: textOfFaults(faults, 'The body'), faults };
}
