import type { IncomingMessage } from 'node:http';
import type { Fault } from '../transport/fault.ts';

/** A body that was read, or why it was not. `ended`: the client left, or another fault ended the request. */
export type BodyReading = { readonly body: Buffer } | { readonly fault: Fault } | 'ended';

/** Bytes of bodies that a node may hold at once. */
const heldBytesMax = 256 * 1024 * 1024;
const retryAfterSeconds = 1;

/**
 * Reads the bodies of requests whose usage has to be estimated before they are forwarded. The memory of all bodies
 * together is bounded.
 */
export class RequestBodies {
  readonly #bytesMax: number;
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * Reads the body of a request. `onStop` receives a function that ends the reading early. The body is held until
   * `release` is called with it.
   */
  read(request: IncomingMessage, onStop: (stop: () => void) => void): Promise<BodyReading> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      const finish = (reading: BodyReading): void => {
        request.off('data', onData).off('end', onEnd).off('close', onClose);
        if (!(typeof reading === 'object' && 'body' in reading)) this.#heldBytes -= bytes;
        resolve(reading);
      };
      const onData = (chunk: Buffer): void => {
        chunks.push(chunk);
        bytes += chunk.length;
        this.#heldBytes += chunk.length;
        if (bytes > this.#bytesMax) finish({ fault: tooLarge(this.#bytesMax) });
        else if (this.#heldBytes > heldBytesMax) finish({ fault: outOfMemory });
      };
      const onEnd = (): void =>
        finish({ body: chunks.length === 1 ? (chunks[0] ?? empty) : Buffer.concat(chunks) });
      const onClose = (): void => finish('ended');
      onStop(onClose);
      request.on('data', onData).on('end', onEnd).on('close', onClose);
    });
  }

  /** Ends the holding of a body that `read` returned. */
  release(body: Buffer): void {
    this.#heldBytes -= body.length;
  }
}

const empty = Buffer.alloc(0);

const outOfMemory: Fault = {
  status: 503,
  detail: 'Too many large requests are being read now; try again.',
  retryAfterSeconds,
};

export function tooLarge(bytesMax: number): Fault {
  return { status: 413, detail: `The body is larger than ${bytesMax} bytes.` };
}
