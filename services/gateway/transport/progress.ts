import type { Socket } from 'node:net';

/** Measures the byte rate of one direction of a connection while the gateway waits for the client. */
export class Progress {
  #waitedMs: number | null = null;
  #bytes = 0;

  /** Ends the current wait. The next call of `stalls` begins another. */
  reset(): void {
    this.#waitedMs = null;
  }

  /**
   * Adds `elapsedMs` of waiting. Returns true when a complete window of waiting moved fewer bytes than the minimum. The
   * first call of a wait only stores the byte count at its start.
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

/** Node's handle of a socket: bytes passed to it, and those of them that the kernel has not accepted yet. */
interface WithHandle extends Socket {
  readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null;
}

/** Bytes that the kernel accepted. Node's `bytesWritten` also counts queued bytes, and one chunk may be megabytes long. */
export function sentBytes(socket: WithHandle): number {
  const { _handle: handle } = socket;
  return handle === undefined || handle === null
    ? socket.bytesWritten - socket.writableLength
    : handle.bytesWritten - handle.writeQueueSize;
}
