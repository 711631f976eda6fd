import type { Amounts, CheckRequest, Problem } from '../answers.ts';

/** Usage by name: measures of the policy (`input_tokens`), or amounts of its quantities in their own unit (`usd`). */
export type StatedUsage = Readonly<Record<string, number>>;

/** A check that reserves an estimate of what the call consumes. */
export interface ReserveRequest extends Omit<CheckRequest, 'peek'> {
  readonly reserve: {
    readonly usage: StatedUsage;
    /** Model of the call, from which its cost is computed. */
    readonly model?: string;
    /** Absent: a random id. A repeated check with the same id reserves once. */
    readonly id?: string;
    /** Seconds after which the reservation counts as expired if it is not settled; absent: as in the policy. */
    readonly expires_seconds?: number;
  };
}

/** What a call has consumed, and the response that it got. */
export interface Settlement {
  readonly usage: StatedUsage;
  /** Absent: the model of the reservation. */
  readonly model?: string;
  /** Status of the response to the client. */
  readonly status?: number;
  readonly latency_ms?: number;
}

/** Names the tenant of a reservation. For services. */
export interface OfTenant {
  readonly tenant_id?: string;
}

/** A reservation after a change. */
export interface ReservationState {
  readonly id: string;
  readonly state: 'open' | 'settled' | 'cancelled';
  readonly amounts: Amounts;
  /**
   * `applied`; `waiting`: Redis is unavailable, Tollgate repeats the change; `missing`: Redis has no reservation, only the
   * stored call was changed; `dropped`: too many changes wait, the reserved amounts stay charged.
   */
  readonly result: 'applied' | 'waiting' | 'missing' | 'dropped';
}

export interface Extension {
  /** True if the call may continue: there is room, or Tollgate did not decide and `onFailure` is `open`. */
  readonly allowed: boolean;
  /** False if Tollgate did not decide. */
  readonly decided: boolean;
  /** All that is reserved now; null if the extension was refused or not decided. */
  readonly amounts: Amounts | null;
  /** Why the extension was refused. */
  readonly problem?: Problem;
}

/** The result of one settlement of a batch. */
export interface SettlementResult {
  readonly id: string;
  /** 200 if the reservation is settled. */
  readonly status: number;
  /** Why it is not settled. */
  readonly detail?: string;
}
