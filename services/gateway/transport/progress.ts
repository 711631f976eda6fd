import type { Socket } from 'node:net';

/** Measures the byte rate of one direction of a connection while the gateway waits for the client. */
export class Progress {
  #waitedMs: number | null = null;
  #bytes = 0;

  /** Ends the current wait. The next call of `stalls` begins a new wait. */
  reset(): void {
    this.#waitedMs = null;
  }

  /**
   * Adds `elapsedMs` to the current wait. Returns true if a complete window has passed and fewer bytes than the minimum
   * were moved in it. The first call of a wait only stores the current number of bytes.
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

/**
 * Node's internal handle of a socket: the bytes that were passed to it, and how many of them the kernel has not
 * accepted yet.
 */
interface WithHandle extends Socket {
  readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null;
}

/**
 * Returns the number of bytes that the kernel has accepted. Node's `bytesWritten` is not precise enough: it includes
 * queued bytes, and one queued chunk may be megabytes long.
 */
export function sentBytes(socket: WithHandle): number {
  const { _handle: handle } = socket;
  return handle === undefined || handle === null
    ? socket.bytesWritten - socket.writableLength
    : handle.bytesWritten - handle.writeQueueSize;
}
