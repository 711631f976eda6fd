import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

/** Maximum size in bytes of an interim response; the headers of a final response have the same bound. */
const headBytesMax = 16_384;
const headEnd = '\r\n\r\n';
const statusLength = 'HTTP/1.1 100'.length;
/** Matches a 1xx status except 101. After a 101 the connection carries another protocol (RFC 9110, 15.2). */
const interimStatus = /^HTTP\/1\.[01] 1(?!01)\d\d$/;
const continueStatus = /^HTTP\/1\.[01] 100$/;

const awaitingKey = Symbol('tollgate.awaitingResponse');

interface UpstreamSocket extends Socket {
  /** True after a request was sent, until a part of its response other than `100 Continue` arrives. */
  [awaitingKey]?: boolean;
}

subscribe('undici:client:sendHeaders', (message) => {
  const { socket } = message as { socket: UpstreamSocket };
  if (socket[awaitingKey] === false) socket[awaitingKey] = true;
});

/**
 * Connects to an upstream and drops its `100 Continue` responses, which undici treats as an error. These responses are not needed:
 * the gateway forwards no `Expect` and sends `100 Continue` to its client itself. undici drops the other interim responses.
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
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null;
  let held: Buffer | null = null;
  socket[awaitingKey] = false;
  socket.read = (size?: number) => {
    // Node's streams call `read(0)` to fill their buffer, for example after undici has put unread bytes back. The call
    // discards what it returns, so it must not take any bytes.
    if (size === 0) return read(0);
    for (;;) {
      const chunk = read();
      if (chunk === null || socket[awaitingKey] !== true) return chunk;
      if (held === null && isFinal(chunk)) {
        socket[awaitingKey] = false;
        return chunk;
      }
      const { kept, remainder, complete } = interimResponsesIn(
        held === null ? chunk : Buffer.concat([held, chunk]),
      );
      held = complete ? null : remainder;
      socket[awaitingKey] = !complete || remainder.length === 0;
      if (complete) kept.push(remainder);
      const bytes = kept.length === 1 ? kept[0] : Buffer.concat(kept);
      if (bytes !== undefined && bytes.length > 0) return bytes;
    }
  };
}

/** True if the first digit of the status is not 1. Nearly every response takes this fast path. */
function isFinal(bytes: Buffer): boolean {
  return bytes.length >= statusLength && bytes[statusLength - 3] !== 0x31;
}

interface Interim {
  /** The interim responses to pass on: all except `100 Continue`. */
  readonly kept: Buffer[];
  /** The bytes after the complete interim responses. */
  readonly remainder: Buffer;
  /** False if `remainder` is the incomplete beginning of another interim response. */
  readonly complete: boolean;
}

function interimResponsesIn(bytes: Buffer): Interim {
  const kept: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const status = bytes.toString('latin1', at, at + statusLength);
    const hasStatus = status.length === statusLength;
    if (hasStatus && !interimStatus.test(status)) break;
    const end = bytes.indexOf(headEnd, at, 'latin1');
    if (!hasStatus || end === -1) {
      // An interim response above the bound is passed to undici, which then fails the request.
      const isTooLong = bytes.length - at > headBytesMax;
      return { kept, remainder: bytes.subarray(at), complete: isTooLong };
    }
    if (!continueStatus.test(status)) kept.push(bytes.subarray(at, end + headEnd.length));
    at = end + headEnd.length;
  }
  return { kept, remainder: bytes.subarray(at), complete: true };
}
