import type { Socket } from 'node:net';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { limitHeaders } from '../responses/limit-headers.ts';
import { anonymous } from '../enforcer/identify.ts';
import type { Identified } from '../enforcer/identify.ts';
import { problemOf, problemType } from '../responses/problem.ts';
import type { Problem } from '../responses/problem.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import type { Fault } from './fault.ts';
import { endAndDiscard } from './linger.ts';

/** A request that is not served: the parts of it that could be read, and the fault to respond with. */
export interface UnservedRequest {
  readonly caller: Identified;
  readonly method: string;
  readonly url: string;
  readonly fault: Fault;
}

/**
 * Responds directly on a socket whose request the HTTP server does not handle. The response has limit headers and a
 * problem as its body, and its event is written. The request is charged to its address only (see `InvalidRequestLimit`).
 * Afterwards the connection is closed.
 */
export function respondOnSocket(
  enforcer: Enforcer,
  entrypoint: string,
  socket: Socket,
  unserved: UnservedRequest,
): void {
  const startedAt = performance.now();
  const { caller, method, url, fault } = unserved;
  socket.on('error', () => socket.destroy());
  enforcer
    .decide({ caller, method, url, unreadable: fault, cost: null, peek: true, hold: false, plan: null })
    .then(async (verdict) => {
      const latencyMs = performance.now() - startedAt;
      const problem = problemOf(verdict);
      await enforcer.meter(verdict, { status: problem.status, latencyMs, entrypoint });
      if (!socket.writable) return;
      socket.write(responseText(verdict, problem, fault));
      endAndDiscard(socket);
    })
    .catch(() => socket.destroy());
}

/** The headers of the request are unreadable, so only the address of the connection identifies the caller. */
export function unknownRequest(enforcer: Enforcer, socket: Socket, fault: Fault): UnservedRequest {
  const ip = enforcer.addressOf({}, socket.remoteAddress ?? '');
  return { caller: { identity: anonymous(ip), rejection: null }, method: '', url: '', fault };
}

function responseText(verdict: Verdict, problem: Problem, { retryAfterSeconds, allow }: Fault): string {
  const { status, title } = problem;
  const body = JSON.stringify(problem);
  const fields: Record<string, string> = {
    date: new Date().toUTCString(),
    ...limitHeaders(verdict),
    'content-type': problemType,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  if (retryAfterSeconds !== undefined) fields['retry-after'] = String(retryAfterSeconds);
  if (allow !== undefined && status === 405) fields['allow'] = allow;
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${title}\r\n${head.join('')}\r\n${body}`;
}
