/// <reference lib="esnext.disposable" preserve="true" />
import type { Decision, Problem } from '../answers.ts';
import { TollgateError } from '../errors.ts';
import type { Reservations } from './reservations.ts';
import type { Extension, OfTenant, ReserveRequest, Settlement, StatedUsage } from './settlement.ts';

/** The result of `reserved`. */
export type ReservedResult<Value> =
  | { readonly allowed: true; readonly decision: Decision; readonly value: Value }
  | { readonly allowed: false; readonly decision: Decision; readonly problem: Problem };

/**
 * A call that has reserved an estimate. It ends with `settle`, `cancel`, or the end of its scope (`await using`, or the
 * function of `reserved`), which settles it with the usage that was reported last.
 */
export class ReservedCall implements AsyncDisposable {
  /** Id of the reservation. */
  readonly id: string;
  readonly decision: Decision;
  readonly #reservations: Reservations;
  readonly #request: ReserveRequest;
  readonly #startedAt = performance.now();
  #reported: Settlement | null = null;
  #ended = false;

  constructor(reservations: Reservations, request: ReserveRequest, id: string, decision: Decision) {
    this.#reservations = reservations;
    this.#request = request;
    this.id = id;
    this.decision = decision;
    // A refused call has reserved nothing.
    this.#ended = !decision.allowed;
  }

  get allowed(): boolean {
    return this.decision.allowed;
  }

  /** Keeps what the call has consumed until now, for its settlement. The last report counts. Sends nothing. */
  report(settlement: Settlement): void {
    this.#reported = settlement;
  }

  /** Reserves more. Rejects if the reservation is settled, cancelled or unknown. */
  extend(usage: StatedUsage, model?: string): Promise<Extension> {
    return this.#reservations.extend(this.id, {
      usage,
      ...(model === undefined ? {} : { model }),
      ...this.#tenant(),
    });
  }

  /**
   * Replaces what was reserved by what was consumed: by default what was reported, or else the estimate. Repeated until Tollgate
   * has stored it; rejects after `settleTimeoutMs`. Of several settlements the last one counts.
   */
  async settle(settlement: Settlement = this.#reported ?? this.#estimate()): Promise<void> {
    this.#ended = true;
    const latency = settlement.status === undefined ? {} : { latency_ms: this.#latencyMs() };
    await this.#change('settle', { ...latency, ...settlement, ...this.#tenant() });
  }

  /** Returns everything that was charged, for a call that consumed nothing. */
  async cancel(): Promise<void> {
    this.#ended = true;
    await this.#change('cancel', this.#tenant());
  }

  /**
   * Ends the call unless it was settled or cancelled. It is settled with the usage that was reported; without a report, it
   * is cancelled if it failed, and otherwise settled with the estimate. Never rejects: a failure is reported to `onError`.
   */
  async end(hasFailed = false): Promise<void> {
    if (this.#ended) return;
    const response = { status: hasFailed ? 500 : 200 };
    const usage = this.#reported ?? (hasFailed ? null : this.#estimate());
    const settling = usage === null ? this.cancel() : this.settle({ ...response, ...usage });
    await this.#reservations.inBackground(this.id, settling);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  #estimate(): Settlement {
    const { usage, model } = this.#request.reserve;
    return { usage, ...(model === undefined ? {} : { model }) };
  }

  #tenant(): OfTenant {
    const { tenant_id: tenant } = this.#request;
    return tenant === undefined ? {} : { tenant_id: tenant };
  }

  #latencyMs(): number {
    return Math.round((performance.now() - this.#startedAt) * 10) / 10;
  }

  /** If Redis has lost the reservation, the stored call is changed, which has the id of the decision. */
  async #change(action: 'settle' | 'cancel', body: Settlement | OfTenant): Promise<void> {
    const { decided, decision_id: decisionId } = this.decision;
    try {
      if (action === 'settle') await this.#reservations.settle(this.id, body as Settlement);
      else await this.#reservations.cancel(this.id, body as OfTenant);
    } catch (error) {
      if ((error as TollgateError).status !== 404) throw error;
      if (!decided) throw new TollgateError(neverReserved, { status: 404, cause: error });
      if (decisionId === null || decisionId === this.id) throw error;
      await this.#reservations.settleStored(decisionId, action, body);
    }
  }
}

const neverReserved =
  'Tollgate did not decide about the call, so it reserved nothing and has no record of it. Publish its usage as an event if it ' +
  'has to be billed.';

/** Runs the work of a call that reserved, and ends the call. Rejects with the error of the work. */
export async function runReserved<Value>(
  call: ReservedCall,
  work: (call: ReservedCall) => Promise<Value> | Value,
): Promise<ReservedResult<Value>> {
  const { decision } = call;
  const { problem } = decision;
  if (!decision.allowed && problem !== undefined) return { allowed: false, decision, problem };
  try {
    const value = await work(call);
    await call.end();
    return { allowed: true, decision, value };
  } catch (error) {
    await call.end(true);
    throw error;
  }
}
