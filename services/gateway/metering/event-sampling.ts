import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** When refused requests exceed the bounds below, one event is written for this many requests. */
export const sampledOneIn = 100;
/**
 * Maximum number of events per second of each kind (invalid credentials, invalid requests) that this node writes
 * without sampling, counted over all addresses.
 */
const fullPerSecondMax = 50;

/**
 * Keeps floods of invalid credentials and of invalid requests out of spool, Kafka and ClickHouse. Only a sample of
 * their events is written in two cases: if the address is over its limit, or if this node refuses more than
 * `fullPerSecondMax` requests of this kind per second from other addresses. Random bits of the decision id select the
 * sample. Therefore the sum of the weights in any subset of the events (a route, an address, an hour) estimates the
 * number of requests in this subset.
 */
export class EventSampling {
  readonly #badCredentials: SecondCounter;
  readonly #invalidRequests: SecondCounter;

  constructor(clock: Clock) {
    this.#badCredentials = new SecondCounter(clock);
    this.#invalidRequests = new SecondCounter(clock);
  }

  /** Returns the number of requests that the event of a verdict represents; 0 if no event is written. */
  weigh({ credentialRejection, addressRejection, decision }: Verdict): number {
    if (credentialRejection === null && decision.reason !== 'invalid') return 1;
    if (addressRejection === null) {
      const counter = credentialRejection === null ? this.#invalidRequests : this.#badCredentials;
      if (counter.increment() <= fullPerSecondMax) return 1;
    }
    return randomBitsOf(decision.id) % sampledOneIn === 0 ? sampledOneIn : 0;
  }
}

class SecondCounter {
  readonly #clock: Clock;
  #second = 0;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds one to the count of the current second and returns it. */
  increment(): number {
    const nowSecond = Math.floor(this.#clock.now() / 1000);
    if (nowSecond !== this.#second) [this.#second, this.#count] = [nowSecond, 0];
    return ++this.#count;
  }
}

/** Returns 24 of the random bits of a UUIDv7. */
function randomBitsOf(id: string): number {
  return Number.parseInt(id.slice(-6), 16);
}
