import type { CheckRequest, Decision, MeterQuery, MeterValues, Outcome, Usage } from './answers.ts';
import { call, errorOf } from './call.ts';
import type { Answer, Connection } from './call.ts';
import { TollgateError } from './errors.ts';

export type * from './answers.ts';
export type { Connection } from './call.ts';
export { TollgateError };

export interface ClientOptions extends Connection {
  /**
   * What `check` returns if Tollgate does not answer. `open`: the request is allowed, and neither limited nor recorded.
   * `closed`: it is refused with a 503 and `Retry-After: 1`.
   */
  readonly onFailure: 'open' | 'closed';
  /** Longest wait for a decision; 250 ms by default. */
  readonly checkTimeoutMs?: number;
  /** Longest wait for other calls; 10 s by default. */
  readonly timeoutMs?: number;
  /** Called with the reason if Tollgate did not decide about a check. Absent: the reason is not reported. */
  readonly onError?: (error: TollgateError) => void;
}

/** Calls the api listener. Works in Node, Deno, Bun and browsers. */
export class TollgateClient {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
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
      return this.#undecided();
    }
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

  #undecided(): Decision {
    const allowed = this.#options.onFailure === 'open';
    const undecided = { allowed, decided: false, decision_id: null, limits: [], delay_ms: 0, degraded: true };
    if (allowed) return { ...undecided, headers: {} };
    return {
      ...undecided,
      headers: { 'retry-after': '1' },
      retry_after_seconds: 1,
      problem: {
        type: 'about:blank',
        title: 'Service Unavailable',
        status: 503,
        detail: 'The limits cannot be checked now; try again.',
      },
    };
  }
}

function queryOf(parameters: object): string {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined) as [string, string][];
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
}
