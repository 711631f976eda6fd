import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

/** Bytes of one interim response, as of the headers of a final one. */
const headBytesMax = 16_384;
const headEnd = '\r\n\r\n';
const statusLength = 'HTTP/1.1 100'.length;
/** A status of 1xx but 101, after which the connection speaks another protocol. */
const interimStatus = /^HTTP\/1\.[01] 1(?!01)\d\d$/;
const continueStatus = /^HTTP\/1\.[01] 100$/;

const awaitingKey = Symbol('tollgate.awaitingResponse');

interface UpstreamSocket extends Socket {
  /** A request was sent, and nothing of its response but `100 Continue` has come. */
  [awaitingKey]?: boolean;
}

subscribe('undici:client:sendHeaders', (message) => {
  const { socket } = message as { socket: UpstreamSocket };
  if (socket[awaitingKey] === false) socket[awaitingKey] = true;
});

/**
 * Connects to an upstream so that its `100 Continue` responses are dropped, which undici takes for an error. Nobody asked
 * for them: the gateway asks a client for its body itself. The other interim responses are dropped by undici.
 */
export function createUpstreamConnector(timeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: timeoutMs });
  return (options, connected) =>
    connect(options, (...result) => {
      if (result[0] === null) dropContinue(result[1]);
      connected(...result);
    });
}

function dropContinue(socket: UpstreamSocket): void {
  const read = socket.read.bind(socket) as () => Buffer | null;
  let held: Buffer | null = null;
  socket[awaitingKey] = false;
  socket.read = () => {
    for (;;) {
      const chunk = read();
      if (chunk === null || socket[awaitingKey] !== true) return chunk;
      if (held === null && isFinal(chunk)) {
        socket[awaitingKey] = false;
        return chunk;
      }
      const { kept, rest, complete } = interimResponsesIn(
        held === null ? chunk : Buffer.concat([held, chunk]),
      );
      held = complete ? null : rest;
      socket[awaitingKey] = !complete || rest.length === 0;
      if (complete) kept.push(rest);
      const bytes = kept.length === 1 ? kept[0] : Buffer.concat(kept);
      if (bytes !== undefined && bytes.length > 0) return bytes;
    }
  };
}

/** What nearly every response is, told by the first digit of its status. */
function isFinal(bytes: Buffer): boolean {
  return bytes.length >= statusLength && bytes[statusLength - 3] !== 0x31;
}

interface Interim {
  /** Those at the start that are not `100 Continue`. */
  readonly kept: Buffer[];
  readonly rest: Buffer;
  /** False where the rest is the beginning of another. */
  readonly complete: boolean;
}

function interimResponsesIn(bytes: Buffer): Interim {
  const kept: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const status = bytes.toString('latin1', at, at + statusLength);
    const whole = status.length === statusLength;
    if (whole && !interimStatus.test(status)) break;
    const end = bytes.indexOf(headEnd, at, 'latin1');
    if (!whole || end === -1) {
      const tooLong = bytes.length - at > headBytesMax;
      return { kept, rest: bytes.subarray(at), complete: tooLong };
    }
    if (!continueStatus.test(status)) kept.push(bytes.subarray(at, end + headEnd.length));
    at = end + headEnd.length;
  }
  return { kept, rest: bytes.subarray(at), complete: true };
}
