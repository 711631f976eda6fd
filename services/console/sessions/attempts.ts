import { LRUCache } from 'lru-cache';
import type { Clock } from '../../../shared/runtime/clock.ts';

export interface Attempts {
  /** False when this address failed too often lately; it must wait before it may try again. */
  mayTry(address: string): boolean;
  failed(address: string): void;
}

const failuresMax = 20;
const memoryMs = 10 * 60_000;
const addressesMax = 10_000;

/** Slows down guessing of tokens and keys: at most 20 failures in 10 minutes from one address. */
export function createAttempts(clock: Clock): Attempts {
  const failures = new LRUCache<string, number[]>({ max: addressesMax });
  const recent = (address: string): number[] =>
    (failures.get(address) ?? []).filter((at) => at > clock.now() - memoryMs);
  return {
    mayTry: (address) => recent(address).length < failuresMax,
    failed: (address) => void failures.set(address, [...recent(address), clock.now()].slice(-failuresMax)),
  };
}
