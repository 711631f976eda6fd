/** One call to the disk at a time, and how long the one under way takes. */
export class CallQueue {
  /** When the call began; 0 when there is none. */
  #since = 0;
  /** The call that was under way at the last look. */
  #sinceAtLook = 0;
  #onIdle: (() => void)[] = [];

  get isBusy(): boolean {
    return this.#since !== 0;
  }

  begin(): void {
    this.#since = performance.now();
  }

  /** Answers what the call took in ms. */
  end(): number {
    const tookMs = performance.now() - this.#since;
    this.#since = 0;
    for (const resolve of this.#onIdle.splice(0)) resolve();
    return tookMs;
  }

  /** To be asked at intervals: a call that ended while the event loop was busy is no stall, so it takes two looks. */
  isStalled(limitMs: number): boolean {
    const isOld =
      this.isBusy && performance.now() - this.#since > limitMs && this.#sinceAtLook === this.#since;
    this.#sinceAtLook = this.#since;
    return isOld;
  }

  /** Resolves when the call under way has ended. */
  ended(): Promise<void> {
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }
}
