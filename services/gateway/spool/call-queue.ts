/** Allows one call to the disk at a time, and measures how long the current call takes. */
export class CallQueue {
  /** Time at which the current call began; null if there is none. */
  #since: number | null = null;
  /** Start of the call that was in progress at the previous check for a stalled call. */
  #sinceAtCheck: number | null = null;
  #onIdle: (() => void)[] = [];

  get isBusy(): boolean {
    return this.#since !== null;
  }

  begin(): void {
    this.#since = performance.now();
  }

  /** Ends the current call and returns its duration in milliseconds. */
  end(): number {
    const tookMs = this.#since === null ? 0 : performance.now() - this.#since;
    this.#since = null;
    for (const resolve of this.#onIdle.splice(0)) resolve();
    return tookMs;
  }

  /**
   * True if the current call takes longer than the limit. Has to be called at intervals: a call counts as stalled only
   * if two checks find it running, because at the first check it may have ended while the event loop was blocked.
   */
  isStalled(limitMs: number): boolean {
    const since = this.#since;
    const isStalled = since !== null && performance.now() - since > limitMs && this.#sinceAtCheck === since;
    this.#sinceAtCheck = this.#since;
    return isStalled;
  }

  /** Resolves when the current call has ended. */
  ended(): Promise<void> {
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
