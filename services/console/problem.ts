/** What an operation of the console refuses, as a value. Rendered as RFC 9457 problem+json or as a page's message. */
export interface Refusal {
  readonly ok: false;
  readonly status: 400 | 404 | 409 | 412 | 422 | 501 | 503;
  readonly title: string;
  /** A sentence that says what to do about it. */
  readonly detail: string;
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

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
}

export function problem(status: number, title: string, detail: string): Problem {
  return { type: 'about:blank', title, status, detail };
}
