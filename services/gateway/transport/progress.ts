import type { Socket } from 'node:net';

/** Bytes that one direction of a connection moved while one side waited for the other. */
export class Progress {
  #waitedMs: number | null = null;
  #bytes = 0;

  /** The wait is over, or another one begins. */
  reset(): void {
    this.#waitedMs = null;
  }

  /**
   * Counts another `elapsedMs` of waiting. True where a whole window of it brought fewer bytes than the minimum. The
   * first look only notes where the count begins.
   */
  stalls(elapsedMs: number, bytesNow: number, windowMs: number, bytesPerSecondMin: number): boolean {
    const waitedMs = this.#waitedMs === null ? 0 : this.#waitedMs + elapsedMs;
    const isWindow = waitedMs >= windowMs;
    const moved = bytesNow - this.#bytes;
    if (this.#waitedMs === null || isWindow) this.#bytes = bytesNow;
    this.#waitedMs = isWindow ? 0 : waitedMs;
    return isWindow && moved < (bytesPerSecondMin * waitedMs) / 1_000;
  }
}

/** Of a socket that Node writes to: what its handle took, and what the kernel has not taken of that yet. */
interface WithHandle extends Socket {
  readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null;
}

/** Bytes that left for the client. Node's own count includes those that are waiting, and a chunk may be megabytes. */
export function sentBytes(socket: WithHandle): number {
  const { _handle: handle } = socket;
  return handle === undefined || handle === null
    ? socket.bytesWritten - socket.writableLength
    : handle.bytesWritten - handle.writeQueueSize;
}
