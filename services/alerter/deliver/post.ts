import { request as requestHttp } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { AttemptOutcome } from './delivery.ts';

export interface Post {
  /** Posts JSON to an address that a tenant chose. Never rejects; a 2xx response means delivered. */
  (address: string, headers: Readonly<Record<string, string>>, body: string): Promise<AttemptOutcome>;
}

export interface PostOptions {
  /** Allows private addresses. For tests, and for installations on one machine. */
  readonly allowPrivate: boolean;
  /** Time limit from the first packet to the headers of the response. */
  readonly timeoutMs: number;
}

/**
 * Posts JSON to addresses that tenants choose, so every address is treated as hostile. Only http and https URLs without
 * credentials are allowed. Addresses in private and reserved networks are refused in every notation; the resolved
 * address is checked again when connecting. Redirects are not followed. Only the status and the headers of the response
 * are read.
 */
export function createPost({ allowPrivate, timeoutMs }: PostOptions): Post {
  // Connections are not reused, so that the connected address of each delivery is checked.
  const filter = { keepAlive: false, allowPrivateIPAddress: allowPrivate };
  const agents = {
    'http:': new RequestFilteringHttpAgent(filter),
    'https:': new RequestFilteringHttpsAgent(filter),
  };
  return async (address, headers, body) => {
    const violation = violationOf(address, allowPrivate);
    if (violation !== null) return { kind: 'refused', error: violation };
    const url = new URL(address);
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const length = String(Buffer.byteLength(body));
      const options = {
        method: 'POST',
        signal,
        headers: {
          'content-type': 'application/json',
          'user-agent': 'Tollgate',
          ...headers,
          'content-length': length,
        },
      };
      const send = (resolve: (answer: IncomingMessage) => void) =>
        url.protocol === 'https:'
          ? requestHttps(url, { ...options, agent: agents['https:'] }, resolve)
          : requestHttp(url, { ...options, agent: agents['http:'] }, resolve);
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        send(resolve).on('error', reject).end(body);
      });
      answer.on('error', () => undefined).destroy();
      return outcomeOf(answer);
    } catch (error) {
      return failureOf(error, timeoutMs);
    }
  };
}

/** Returns why posting to an address is forbidden, without resolving its host name; null if it is allowed. */
export function violationOf(address: string, allowPrivate: boolean): string | null {
  if (!URL.canParse(address)) return 'is not a URL';
  const { protocol, hostname, username, password } = new URL(address);
  if (protocol !== 'https:' && protocol !== 'http:') return 'is neither http nor https';
  if (username !== '' || password !== '') return 'contains credentials';
  if (allowPrivate) return null;
  // The URL parser has already converted every notation of an IPv4 address (octal, hexadecimal, one number) to four
  // decimal numbers.
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (host === 'localhost' || host.endsWith('.localhost')) return 'is this machine';
  if (isIP(host) !== 0 && ipaddr.process(host).range() !== 'unicast')
    return 'is a private or reserved address';
  return null;
}

function outcomeOf({ statusCode = 0, headers }: IncomingMessage): AttemptOutcome {
  if (statusCode >= 200 && statusCode < 300) return { kind: 'delivered' };
  if (statusCode === 410) return { kind: 'gone', error: 'answered 410: it wants no more notifications' };
  if (statusCode >= 300 && statusCode < 400) {
    return { kind: 'failed', error: `answered ${statusCode}: redirects are not followed` };
  }
  const seconds = Number(headers['retry-after']);
  const retryAfter = Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: seconds * 1000 } : {};
  return { kind: 'failed', error: `answered ${statusCode}`, ...retryAfter };
}

function failureOf(error: unknown, timeoutMs: number): AttemptOutcome {
  const message = messageOf(error);
  // True for the filtering agent's error when a host name resolves to a forbidden address. The tenant's error message
  // omits the resolved address, which would reveal the private network.
  if (/is not allowed\. Because/.test(message)) {
    return { kind: 'refused', error: 'resolves to a private or reserved address' };
  }
  if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')) {
    return { kind: 'failed', error: `no answer within ${timeoutMs} ms` };
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : message;
  return { kind: 'failed', error: `no answer: ${code}` };
}
