import type { Socket } from 'node:net';
import { anonymous } from './identify.ts';
import type { Gate } from './gate.ts';
import { limitHeaders } from './headers.ts';
import { plainProblem, problemType } from './problem.ts';

/** After the answer the rest of what the client sends is thrown away, this much and this long at most. */
const drainBytesMax = 64 * 1024 * 1024;
const drainMsMax = 5_000;

const answering = new WeakSet<Socket>();

/**
 * Answers what is no readable HTTP request: headers too large (431), too slow (408), malformed (400). There is no
 * request to identify, so the address's limits are shown and nothing is taken from them. The connection is read on
 * for a moment before it closes: a client that is still sending would otherwise see a reset in place of the answer.
 */
export function answerClientError(
  gate: Gate,
  door: string,
  error: Error & { code?: string },
  socket: Socket,
): void {
  if (answering.has(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  answering.add(socket);
  drain(socket);
  const [status, detail] = problemFor(error.code);
  const ip = gate.addressOf({}, socket.remoteAddress ?? '');
  const startedAt = performance.now();
  const who = { identity: anonymous(ip), refusal: { status: 401 as const, detail } };
  gate
    .decide({ who, method: 'GET', url: '/', cost: null, peek: true, hold: false, plan: null })
    .then(async (verdict) => {
      await gate.meter(
        {
          ...verdict,
          method: '',
          path: '',
          route: null,
          decision: { ...verdict.decision, reason: 'invalid', limitedBy: ['invalid'] },
        },
        { status, latencyMs: performance.now() - startedAt, door },
      );
      const body = JSON.stringify({ ...plainProblem(status, detail), decision_id: verdict.decision.id });
      const fields = {
        ...limitHeaders(verdict),
        'content-type': problemType,
        'content-length': String(Buffer.byteLength(body)),
        connection: 'close',
      };
      const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      const { title } = plainProblem(status, detail);
      socket.end(`HTTP/1.1 ${status} ${title}\r\n${head.join('')}\r\n${body}`);
    })
    .catch(() => socket.destroy());
}

function problemFor(code: string | undefined): [number, string] {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return [431, 'The request headers are larger than 16384 bytes.'];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return [408, 'The request did not arrive in time.'];
    default:
      return [400, 'This is not a readable HTTP request.'];
  }
}

/** Listening for data takes the socket away from the HTTP parser, which has given up on it. */
function drain(socket: Socket): void {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > drainBytesMax) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), drainMsMax);
  socket.once('close', () => clearTimeout(timer));
}
