/** The appends of one event-loop iteration, whose responses wait for one promise. */
interface Iteration {
  /** Sequence number of its last append so far. */
  last: number;
  ended: boolean;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** Event-loop iterations whose events are not durable yet, oldest first. */
export class Iterations {
  readonly #waiting: Iteration[] = [];

  /** Adds an append. Returns true if it is the first of its iteration. */
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

  /** Ends the newest iteration, to which nothing is added any more. */
  end(): void {
    const open = this.#waiting.at(-1);
    if (open !== undefined) open.ended = true;
  }

  /** Resolves the ended iterations whose sequence numbers are all at most `sequence`. */
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
