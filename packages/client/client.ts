import type { CheckRequest, Decision, MeterQuery, MeterValues, Outcome, Usage } from './answers.ts';
import { call, errorOf } from './call.ts';
import type { Answer, Connection } from './call.ts';
import { TollgateError } from './errors.ts';
import { Reservations } from './reservations/reservations.ts';
import { ReservedCall, runReserved } from './reservations/reserved-call.ts';
import type { ReservedResult } from './reservations/reserved-call.ts';
import type {
  Extension,
  OfTenant,
  ReservationState,
  ReserveRequest,
  Settlement,
  SettlementResult,
  StatedUsage,
} from './reservations/settlement.ts';
import { undecided } from './undecided.ts';
import type { OnFailure } from './undecided.ts';

export type * from './answers.ts';
export type { Connection } from './call.ts';
export type { ReservedCall, ReservedResult } from './reservations/reserved-call.ts';
export type * from './reservations/settlement.ts';
export { TollgateError };

export interface ClientOptions extends Connection {
  /**
   * What `check` returns if Tollgate does not answer. `open`: the request is allowed, and neither limited nor recorded.
   * `closed`: it is refused with a 503 and `Retry-After: 1`.
   */
  readonly onFailure: OnFailure;
  /** Longest wait for a decision; 250 ms by default. A check that reserves is repeated, for at most three times as long. */
  readonly checkTimeoutMs?: number;
  /** Longest wait for other calls; 10 s by default. */
  readonly timeoutMs?: number;
  /** How long a settlement or cancellation is repeated that Tollgate does not answer; 60 s by default. */
  readonly settleTimeoutMs?: number;
  /**
   * Called with the reason if Tollgate did not decide about a check, or if a reservation could not be settled in the background.
   * Absent: the first is not reported, the second is written to the console.
   */
  readonly onError?: (error: TollgateError) => void;
}

/** Calls the api listener. Works in Node, Deno, Bun and browsers. */
export class TollgateClient {
  readonly #options: ClientOptions;
  readonly #reservations: Reservations;

  constructor(options: ClientOptions) {
    const { checkTimeoutMs = 250, timeoutMs = 10_000, settleTimeoutMs = 60_000, onError } = options;
    this.#options = options;
    this.#reservations = new Reservations({
      ...options,
      checkTimeoutMs,
      timeoutMs,
      settleTimeoutMs,
      onError,
    });
  }

  /**
   * Decides about a request that the application serves. Never rejects and is never repeated: a check that timed out
   * may have consumed units. If Tollgate does not decide, `onFailure` does.
   */
  async check(request: CheckRequest): Promise<Decision> {
    const { checkTimeoutMs = 250, onError } = this.#options;
    try {
      const answer = await this.#send('POST', '/v1/check', checkTimeoutMs, request);
      if (answer.status !== 200) throw errorOf(answer);
      return { ...(answer.body as Omit<Decision, 'decided'>), decided: true };
    } catch (error) {
      onError?.(error as TollgateError);
      return undecided(this.#options.onFailure);
    }
  }

  /**
   * Decides about a call and reserves what it may consume. Never rejects. Ends by itself if it is held with `await using`; otherwise
   * `settle`, `cancel` or `end` has to be called.
   */
  async reserve(request: ReserveRequest): Promise<ReservedCall> {
    const id = request.reserve.id ?? crypto.randomUUID();
    return new ReservedCall(this.#reservations, request, id, await this.#reservations.check(request, id));
  }

  /**
   * Reserves, runs `work` if the call is allowed, and settles what `work` reported. Without a report the estimate is charged, or
   * nothing if `work` throws. Rejects with the error of `work` only.
   */
  async reserved<Value>(
    request: ReserveRequest,
    work: (call: ReservedCall) => Promise<Value> | Value,
  ): Promise<ReservedResult<Value>> {
    return runReserved(await this.reserve(request), work);
  }

  /** Replaces what a reservation holds by what was consumed. Repeated until it is stored; the last settlement counts. */
  settle(id: string, settlement: Settlement & OfTenant): Promise<ReservationState> {
    return this.#reservations.settle(id, settlement);
  }

  /** Settles many reservations of a tenant. Returns a result for each one, in order. */
  settleAll(
    settlements: readonly ({ readonly id: string } & Settlement)[],
    of: OfTenant = {},
  ): Promise<SettlementResult[]> {
    return this.#reservations.settleAll(settlements, of);
  }

  /** Reserves more for a call in progress. Sent once, because a repetition would reserve twice. */
  extend(
    id: string,
    extension: { readonly usage: StatedUsage; readonly model?: string } & OfTenant,
  ): Promise<Extension> {
    return this.#reservations.extend(id, extension);
  }

  /** Returns everything that the check of a reservation has charged. */
  cancel(id: string, of: OfTenant = {}): Promise<ReservationState> {
    return this.#reservations.cancel(id, of);
  }

  /**
   * Call this before the process ends. Resolves with true when all settlements in the background are complete, and with false
   * after `timeoutMs`.
   */
  flush(timeoutMs = 10_000): Promise<boolean> {
    return this.#reservations.flush(timeoutMs);
  }

  /**
   * Reports the status and latency of requests that were served after a check. Reporting twice changes nothing. Rejects
   * if nothing was stored.
   */
  async reportOutcomes(outcomes: readonly Outcome[]): Promise<void> {
    await this.#read('POST', '/v1/outcomes', { outcomes });
  }

  /** Returns the limits of a tenant and its totals of the current day. */
  usage(query: { readonly tenant_id?: string } = {}): Promise<Usage> {
    return this.#read<Usage>('GET', `/v1/usage${queryOf(query)}`);
  }

  /** Returns the values of one meter of the policy. */
  meter(name: string, { group_by: groups, ...query }: MeterQuery): Promise<MeterValues> {
    const parameters = groups === undefined ? query : { ...query, group_by: groups.join(',') };
    return this.#read<MeterValues>(
      'GET',
      `/v1/meters/${encodeURIComponent(name)}/query${queryOf(parameters)}`,
    );
  }

  /** Explains a decision: the request, the rules, and the counters. */
  decision(id: string): Promise<Readonly<Record<string, unknown>>> {
    return this.#read('GET', `/v1/decisions/${encodeURIComponent(id)}`);
  }

  async #read<Body>(method: string, path: string, body?: object): Promise<Body> {
    const answer = await this.#send(method, path, this.#options.timeoutMs ?? 10_000, body);
    if (answer.status >= 300) throw errorOf(answer);
    return answer.body as Body;
  }

  #send(method: string, path: string, timeoutMs: number, body?: object): Promise<Answer> {
    const text = body === undefined ? {} : { body: JSON.stringify(body) };
    return call(this.#options, method, path, { ...text, timeoutMs });
  }
}

function queryOf(parameters: object): string {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined) as [string, string][];
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
}
