/** The events that are appended in one event-loop iteration. Their responses wait for one promise. */
interface Iteration {
  /** Sequence number of the latest append. */
  last: number;
  ended: boolean;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** Event-loop iterations whose events are not durable yet, oldest first. */
export class Iterations {
  readonly #waiting: Iteration[] = [];

  /** Adds an event. Returns true if it is the first event of its iteration. */
  add(sequence: number): boolean {
    const open = this.#waiting.at(-1);
    if (open?.ended === false) {
      open.last = sequence;
      return false;
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#waiting.push({ last: sequence, ended: false, promise, resolve: () => resolve(undefined) });
    return true;
  }

  /** Ends the newest iteration. The next append begins another one. */
  end(): void {
    const open = this.#waiting.at(-1);
    if (open !== undefined) open.ended = true;
  }

  /** Resolves the promises of all ended iterations whose last sequence number is at most `sequence`. */
  resolveThrough(sequence: number): void {
    for (
      let iteration = this.#waiting[0];
      iteration?.ended === true && iteration.last <= sequence;
      iteration = this.#waiting[0]
    ) {
      this.#waiting.shift();
      iteration.resolve();
    }
  }

  /** Resolves when all events appended so far are durable. */
  get newest(): Promise<void> {
    return this.#waiting.at(-1)?.promise ?? resolved;
  }
}

const resolved = Promise.resolve();
