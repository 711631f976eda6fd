import type { Problem } from './answers.ts';
import { TollgateError, messageOf } from './errors.ts';

/** Address and credential of an api listener. */
export interface Connection {
  /** Base URL of the api listener, such as `http://127.0.0.1:8081`. */
  readonly url: string;
  /** A service token, an API key or a JWT. */
  readonly token: string;
  /** Sends requests in place of the global `fetch`. */
  readonly fetch?: typeof fetch;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfterSeconds: number | null;
}

export interface CallOptions {
  readonly body?: string;
  readonly contentType?: string;
  readonly timeoutMs: number;
  /** Aborts the request. */
  readonly signal?: AbortSignal;
}

/** Sends one request. Rejects with a TollgateError if no response arrives in time. Never retries. */
export async function call(
  { url, token, fetch: send = fetch }: Connection,
  method: string,
  path: string,
  { body, contentType = 'application/json', timeoutMs, signal }: CallOptions,
): Promise<Answer> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await send(new URL(path, url), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      ...(body === undefined ? {} : { body }),
      // A redirect would send the token to another address.
      redirect: 'error',
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: response.headers.get('content-type')?.includes('json') === true ? parse(text) : null,
      retryAfterSeconds: secondsOf(response.headers.get('retry-after')),
    };
  } catch (error) {
    throw new TollgateError(`Tollgate did not answer at ${url}: ${causeOf(error)}`, { cause: error });
  }
}

/** The error for an answer that is no success. */
export function errorOf({ status, body, retryAfterSeconds }: Answer): TollgateError {
  const problem = isProblem(body) ? body : null;
  const message = `Tollgate answered ${status}${problem === null ? '' : `: ${problem.detail}`}`;
  return new TollgateError(message, { status, problem, retryAfterSeconds });
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'detail' in body && typeof body.detail === 'string';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function secondsOf(header: string | null): number | null {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : null;
}

/** `fetch` reports "fetch failed"; its cause names the reason. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && cause.message !== '' ? cause.message : messageOf(error);
}
