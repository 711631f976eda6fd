/** The appends of one turn of the event loop, whose responses wait for one promise. */
interface Iteration {
  /** Sequence of its last append so far. */
  last: number;
  ended: boolean;
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** Iterations whose events are not durable yet, oldest first. */
export class Iterations {
  readonly #waiting: Iteration[] = [];

  /** Notes an append, and answers whether it is the first of its turn. */
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

  /** The newest turn is over: nothing is added to it any more. */
  end(): void {
    const open = this.#waiting.at(-1);
    if (open !== undefined) open.ended = true;
  }

  /** Resolves the iterations that are over and whose events all have a sequence up to `sequence`. */
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

  /** Resolves once all that was appended so far is durable. */
  get newest(): Promise<void> {
    return this.#waiting.at(-1)?.promise ?? nothingWaits;
  }
}

const nothingWaits = Promise.resolve();
