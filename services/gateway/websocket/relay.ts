import type { Socket } from 'node:net';
import { Transform, pipeline } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { FrameReader, beginsMessage, closeFrame } from './frames.ts';

export interface RelayOptions {
  readonly client: Socket;
  readonly upstream: Socket;
  /** Longest time without a byte in either direction; after it, the connection ends. */
  readonly idleTimeoutMs: number;
  /** Called before each message of the client is forwarded. Returns the reason for refusing the message, or null. */
  readonly charge: (() => Promise<string | null>) | null;
}

export interface Relay {
  /** Sends a close frame to the client and ends the connection. */
  close(code: number, reason: string): void;
  /**
   * Closes the connection with 1008 (policy violation) on both sides. The current frame is completed; no later frame is
   * forwarded.
   */
  refuse(reason: string): void;
}

const goingAway = 1001;
const policyViolation = 1008;
/** Time in which one side may still send after the other side has ended the connection. */
const endTimeoutMs = 5_000;
const keepAliveDelayMs = 30_000;

/** Forwards frames between a client and the upstream until both have ended, or one connection fails. */
export function startRelay({ client, upstream, idleTimeoutMs, charge }: RelayOptions): Relay {
  const down = new EndableFrames();
  const up = new EndableFrames();
  let ending: NodeJS.Timeout | null = null;
  for (const socket of [client, upstream]) {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveDelayMs);
    socket.setTimeout(idleTimeoutMs, () => close(goingAway, 'The connection was idle.'));
    socket.once('end', endSoon);
    socket.once('close', endAll);
    socket.on('error', endAll);
  }
  pipeline(upstream, down, client, onEnded);
  if (charge === null) pipeline(client, up, upstream, onEnded);
  else
    pipeline(
      client,
      (frames: AsyncIterable<Buffer>) => chargeMessages(frames, charge, refuseMessage),
      up,
      upstream,
      onEnded,
    );
  return { close, refuse };

  function close(code: number, reason: string): void {
    down.endWith(closeFrame(code, reason, false));
    endSoon();
  }

  function refuse(reason: string): void {
    up.endWith(closeFrame(policyViolation, reason, true));
    close(policyViolation, reason);
  }

  /**
   * Returns the close frame for the upstream. It is written after the charged messages that may still be in the
   * stream pipeline.
   */
  function refuseMessage(reason: string): Buffer {
    close(policyViolation, reason);
    return closeFrame(policyViolation, reason, true);
  }

  function onEnded(error?: Error | null): void {
    if (error !== undefined && error !== null) endAll();
  }

  function endSoon(): void {
    ending ??= setTimeout(endAll, endTimeoutMs);
  }

  function endAll(): void {
    if (ending !== null) clearTimeout(ending);
    client.destroySoon();
    upstream.destroy();
  }
}

/**
 * Forwards the frames of one side. `endWith` inserts a last frame after the current frame; later frames are dropped.
 */
class EndableFrames extends Transform {
  readonly #reader = new FrameReader();
  #last: Buffer | null = null;
  #ended = false;

  endWith(frame: Buffer): void {
    this.#last ??= frame;
    if (this.#reader.atBoundary) this.#end();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      at = this.#reader.next(chunk, at).end;
      if (this.#last === null || !this.#reader.atBoundary) continue;
      this.push(chunk.subarray(0, at));
      this.#end();
    }
    if (!this.#ended) this.push(chunk);
    callback();
  }

  override _flush(callback: TransformCallback): void {
    this.#ended = true;
    callback();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(this.#last);
    this.push(null);
  }
}

/**
 * Yields the client's frames, and charges each message before its first frame is yielded. If a message is refused, no
 * further frame is yielded.
 */
async function* chargeMessages(
  frames: AsyncIterable<Buffer>,
  charge: () => Promise<string | null>,
  refuse: (reason: string) => Buffer,
): AsyncGenerator<Buffer> {
  const reader = new FrameReader();
  for await (const chunk of frames) {
    let at = 0;
    while (at < chunk.length) {
      const { end, header } = reader.next(chunk, at);
      const isHeader = header !== null;
      if (isHeader && beginsMessage(header)) {
        const reason = await charge();
        if (reason !== null) {
          yield refuse(reason);
          return;
        }
      }
      if (isHeader) yield header;
      else if (!reader.inHeader) yield chunk.subarray(at, end);
      at = end;
    }
  }
}
