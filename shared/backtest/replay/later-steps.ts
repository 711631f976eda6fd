/** Steps that are due at a later time of the replay, such as the end of a request. A binary heap ordered by time. */
export class LaterSteps {
  readonly #steps: { readonly atMs: number; readonly run: (atMs: number) => void }[] = [];

  add(atMs: number, run: (atMs: number) => void): void {
    const steps = this.#steps;
    let at = steps.length;
    steps.push({ atMs, run });
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((steps[parent]?.atMs ?? 0) <= atMs) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Runs the steps that are due at `nowMs`, in order of time. */
  runUntil(nowMs: number): void {
    for (let first = this.#steps[0]; first !== undefined && first.atMs <= nowMs; first = this.#steps[0]) {
      this.#removeFirst();
      first.run(first.atMs);
    }
  }

  #removeFirst(): void {
    const steps = this.#steps;
    const last = steps.pop();
    if (last === undefined || steps.length === 0) return;
    steps[0] = last;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (this.#timeAt(left) < this.#timeAt(least)) least = left;
      if (this.#timeAt(right) < this.#timeAt(least)) least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #timeAt(index: number): number {
    return this.#steps[index]?.atMs ?? Infinity;
  }

  #swap(one: number, other: number): void {
    const [a, b] = [this.#steps[one], this.#steps[other]];
    if (a === undefined || b === undefined) return;
    this.#steps[one] = b;
    this.#steps[other] = a;
  }
}
