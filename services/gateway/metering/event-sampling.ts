import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** Beyond the bounds one event in so many is written. */
export const sampledOneIn = 100;
/** Events a second of either kind that this node writes in full, of all addresses together. */
const fullPerSecondMax = 50;

/**
 * Keeps floods of bad credentials and of invalid requests out of spool, Kafka and ClickHouse. Sampled are the requests
 * of an address beyond its limit, and those of other addresses while the node refuses many at once. The random bits of
 * the decision's id select the sample: for any subset of the events (a route, an address, an hour) the sum of their
 * weights estimates its size.
 */
export class EventSampling {
  readonly #badCredentials: SecondCounter;
  readonly #invalidRequests: SecondCounter;

  constructor(clock: Clock) {
    this.#badCredentials = new SecondCounter(clock);
    this.#invalidRequests = new SecondCounter(clock);
  }

  /** The number of requests that the event of a verdict stands for; 0 where no event is written. */
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

  /** Returns the count of the current second. */
  increment(): number {
    const nowSecond = Math.floor(this.#clock.now() / 1000);
    if (nowSecond !== this.#second) [this.#second, this.#count] = [nowSecond, 0];
    return ++this.#count;
  }
}

/** 24 of the random bits of a UUIDv7. */
function randomBitsOf(id: string): number {
  return Number.parseInt(id.slice(-6), 16);
}
