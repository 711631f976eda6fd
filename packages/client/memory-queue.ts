import type { QueuedEvent } from './event.ts';

/** Events in memory, in the order in which they are sent. */
export class MemoryQueue {
  #events: QueuedEvent[] = [];
  #first = 0;
  bytes = 0;

  get size(): number {
    return this.#events.length - this.#first;
  }

  push(event: QueuedEvent): void {
    this.#events.push(event);
    this.bytes += event.bytes;
  }

  /** Removes and returns the first events; at least one, if there is one. */
  take(eventsMax: number, bytesMax: number): QueuedEvent[] {
    const batch: QueuedEvent[] = [];
    let bytes = 0;
    for (let event = this.#events[this.#first]; event !== undefined; event = this.#events[this.#first]) {
      if (batch.length === eventsMax || (batch.length > 0 && bytes + event.bytes > bytesMax)) break;
      batch.push(event);
      bytes += event.bytes;
      this.#first += 1;
    }
    this.bytes -= bytes;
    // The array is shortened rarely, because this copies the events behind.
    if (this.#first * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
    return batch;
  }

  /** Returns events to the front, which are sent again. */
  putBack(events: readonly QueuedEvent[]): void {
    this.#events = [...events, ...this.#events.slice(this.#first)];
    this.#first = 0;
    for (const { bytes } of events) this.bytes += bytes;
  }

  /** Removes and returns all events. */
  takeAll(): QueuedEvent[] {
    return this.take(Infinity, Infinity);
  }
}
