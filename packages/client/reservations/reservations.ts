import type { Decision } from '../answers.ts';
import { call, errorOf } from '../call.ts';
import type { Answer, Connection } from '../call.ts';
import { TollgateError } from '../errors.ts';
import { undecided } from '../undecided.ts';
import type { OnFailure } from '../undecided.ts';
import { isTemporary, repeatCall } from './repeat-call.ts';
import type {
  Extension,
  OfTenant,
  ReservationState,
  ReserveRequest,
  Settlement,
  SettlementResult,
  StatedUsage,
} from './settlement.ts';

export interface ReservationOptions extends Connection {
  readonly onFailure: OnFailure;
  readonly checkTimeoutMs: number;
  readonly timeoutMs: number;
  readonly settleTimeoutMs: number;
  readonly onError: ((error: TollgateError) => void) | undefined;
}

const conflict = 409;
const unknown = 404;
const settlementsMax = 100;

/** Calls the routes of reservations. Everything that has the same effect when it is repeated is repeated. */
export class Reservations {
  readonly #options: ReservationOptions;
  /** Settlements that have begun and are not complete. */
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: ReservationOptions) {
    this.#options = options;
  }

  /** Checks and reserves. Never rejects. The check is repeated, because Tollgate reserves once for an id. */
  async check(request: ReserveRequest, id: string): Promise<Decision> {
    const { checkTimeoutMs, onFailure, onError } = this.#options;
    try {
      const { body } = await repeatCall(this.#options, {
        method: 'POST',
        path: '/v1/check',
        body: { ...request, reserve: { ...request.reserve, id } },
        timeoutMs: checkTimeoutMs,
        totalMs: 2 * checkTimeoutMs,
      });
      return { ...(body as Omit<Decision, 'decided'>), decided: true };
    } catch (error) {
      const { status } = error as TollgateError;
      onError?.(error as TollgateError);
      // The answer to a check may be lost although Tollgate has reserved.
      if (onFailure === 'closed' && isTemporary(status)) this.#cancelUnknown(id, request);
      return undecided(onFailure);
    }
  }

  settle(id: string, settlement: Settlement & OfTenant): Promise<ReservationState> {
    return this.#track(this.#change(id, 'settle', settlement, [conflict]));
  }

  cancel(id: string, of: OfTenant): Promise<ReservationState> {
    return this.#track(this.#change(id, 'cancel', of, [conflict]));
  }

  /**
   * Settles the stored call of a decision, whose reservation Redis has lost. The call is found once its event is stored, which
   * takes some seconds.
   */
  settleStored(
    decisionId: string,
    action: 'settle' | 'cancel',
    body: Settlement | OfTenant,
  ): Promise<ReservationState> {
    return this.#track(this.#change(decisionId, action, body, [conflict, unknown]));
  }

  /** Never repeated: a second extension would reserve twice. */
  async extend(
    id: string,
    extension: { readonly usage: StatedUsage; readonly model?: string } & OfTenant,
  ): Promise<Extension> {
    const { timeoutMs, onFailure, onError } = this.#options;
    let error: TollgateError;
    try {
      const body = JSON.stringify(extension);
      const answer = await call(this.#options, 'POST', pathOf(id, 'extend'), { body, timeoutMs });
      if (answer.status < 300) return { allowed: true, decided: true, amounts: stateOf(answer).amounts };
      error = errorOf(answer);
      if (answer.status === 429 && error.problem !== null)
        return { allowed: false, decided: true, amounts: null, problem: error.problem };
    } catch (cause) {
      error = cause as TollgateError;
    }
    if (!isTemporary(error.status)) throw error;
    onError?.(error);
    return { allowed: onFailure === 'open', decided: false, amounts: null };
  }

  /** Returns a result for each settlement, in order. Rejects if Tollgate refuses a request as a whole. */
  async settleAll(
    settlements: readonly ({ readonly id: string } & Settlement)[],
    of: OfTenant,
  ): Promise<SettlementResult[]> {
    const results: SettlementResult[] = [];
    for (let from = 0; from < settlements.length; from += settlementsMax) {
      const batch = settlements.slice(from, from + settlementsMax);
      results.push(...(await this.#track(this.#settleBatch(batch, of))));
    }
    return results;
  }

  /** Resolves with true when all settlements that have begun are complete, and with false after `timeoutMs`. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.#running.size > 0) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return false;
      await settledWithin(Promise.allSettled(this.#running), leftMs);
    }
    return true;
  }

  /**
   * Waits for a settlement in the background of a call: as long as for a check. After that, the settlement goes on, and the
   * application does not wait for it. A failure is reported to `onError`.
   */
  async inBackground(id: string, settling: Promise<unknown>): Promise<void> {
    const reported = settling.catch((cause: unknown) => {
      const message = `The reservation ${id} could not be settled: ${(cause as Error).message}`;
      const { status, problem, retryAfterSeconds } = cause as TollgateError;
      const error = new TollgateError(message, {
        ...(status === null ? {} : { status }),
        ...{ problem, retryAfterSeconds, cause },
      });
      const { onError = (lost: TollgateError) => globalThis.console.error(lost.message) } = this.#options;
      onError(error);
    });
    await settledWithin(reported, this.#options.checkTimeoutMs);
  }

  async #settleBatch(
    batch: readonly ({ readonly id: string } & Settlement)[],
    of: OfTenant,
  ): Promise<SettlementResult[]> {
    const body = { ...of, settlements: batch };
    const answer = await this.#repeat('/v1/reservations/settle', body, []);
    const { results } = answer.body as { readonly results: readonly SettlementResult[] };
    const repeated = batch.map(async ({ id, ...settlement }, index): Promise<SettlementResult> => {
      const result = results[index] ?? { id, status: 503 };
      if (!isTemporary(result.status) && result.status !== conflict) return result;
      try {
        await this.#change(id, 'settle', { ...settlement, ...of }, [conflict]);
        return { id, status: 200 };
      } catch (error) {
        const { status, message } = error as TollgateError;
        return { id, status: status ?? result.status, detail: message };
      }
    });
    return Promise.all(repeated);
  }

  async #change(
    id: string,
    action: 'settle' | 'cancel',
    body: object,
    repeated: readonly number[],
  ): Promise<ReservationState> {
    return stateOf(await this.#repeat(pathOf(id, action), body, repeated));
  }

  #repeat(path: string, body: object, repeated: readonly number[]): Promise<Answer> {
    const { timeoutMs, settleTimeoutMs } = this.#options;
    return repeatCall(this.#options, {
      method: 'POST',
      path,
      body,
      timeoutMs,
      totalMs: settleTimeoutMs,
      repeated,
    });
  }

  /** Cancels a reservation of which it is unknown whether it exists. */
  #cancelUnknown(id: string, { tenant_id: tenant }: ReserveRequest): void {
    const cancelling = this.cancel(id, tenant === undefined ? {} : { tenant_id: tenant });
    const known = cancelling.catch((error: unknown) => {
      if ((error as TollgateError).status !== unknown) throw error;
    });
    void this.inBackground(id, known);
  }

  #track<Result>(work: Promise<Result>): Promise<Result> {
    this.#running.add(work);
    const end = (): void => void this.#running.delete(work);
    void work.then(end, end);
    return work;
  }
}

function pathOf(id: string, action: string): string {
  return `/v1/reservations/${encodeURIComponent(id)}/${action}`;
}

function stateOf({ body }: Answer): ReservationState {
  return body as ReservationState;
}

/** Resolves when the work is complete, or after `timeoutMs`. */
async function settledWithin(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => void (timer = setTimeout(resolve, timeoutMs)));
  await Promise.race([work, late]);
  clearTimeout(timer);
}
