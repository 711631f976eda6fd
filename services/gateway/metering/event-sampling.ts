import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Verdict } from '../enforcer/verdict.ts';

/** How many requests the event of a verdict stands for; 0 where none is written. */
export type Weigh = (verdict: Verdict) => number;

/** Beyond the bounds one event in so many is written. */
export const sampledOneIn = 100;
/** Events a second that this node writes in full of either kind, from all addresses together. */
const fullPerSecondMax = 50;

/**
 * Keeps floods of bad credentials and of requests that cannot be served out of spool, Kafka and ClickHouse. What an address sends beyond its limit is sampled,
 * and so is the rest where the node is refusing many at once. Which ones are written is drawn by the chance in their ids,
 * so that any part of the sample (a route, an address, an hour), multiplied by its weights, estimates its whole.
 */
export function createEventSampling(clock: Clock): Weigh {
  const [ofCredentials, ofInvalid] = [createSecond(clock), createSecond(clock)];
  return ({ credentials, address, decision }) => {
    if (credentials === null && decision.reason !== 'invalid') return 1;
    if (address === null && (credentials === null ? ofInvalid : ofCredentials)() <= fullPerSecondMax)
      return 1;
    return chanceOf(decision.id) % sampledOneIn === 0 ? sampledOneIn : 0;
  };
}

/** Counts the calls of the current second, this one included. */
function createSecond(clock: Clock): () => number {
  let second = 0;
  let calls = 0;
  return () => {
    const now = Math.floor(clock.now() / 1000);
    if (now !== second) [second, calls] = [now, 0];
    return ++calls;
  };
}

/** 24 of the random bits of a UUIDv7. */
function chanceOf(id: string): number {
  return Number.parseInt(id.slice(-6), 16);
}
