/** Serializes calls to the disk, and measures how long the current one takes. */
export class CallQueue {
  /** Start of the current call; 0 when there is none. */
  #since = 0;
  /** Start of the call that was current at the last check for a stall. */
  #sinceAtCheck = 0;
  #onIdle: (() => void)[] = [];

  get isBusy(): boolean {
    return this.#since !== 0;
  }

  begin(): void {
    this.#since = performance.now();
  }

  /** Returns the duration of the call in milliseconds. */
  end(): number {
    const tookMs = performance.now() - this.#since;
    this.#since = 0;
    for (const resolve of this.#onIdle.splice(0)) resolve();
    return tookMs;
  }

  /**
   * True if the current call takes longer than the limit. Has to be called at intervals: a call counts as stalled only at
   * the second check, because it may have ended while the event loop was blocked.
   */
  isStalled(limitMs: number): boolean {
    const isStalled =
      this.isBusy && performance.now() - this.#since > limitMs && this.#sinceAtCheck === this.#since;
    this.#sinceAtCheck = this.#since;
    return isStalled;
  }

  /** Resolves when the current call has ended. */
  ended(): Promise<void> {
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
