import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Delivery } from '../../../shared/domain/topics/delivery.ts';
import { deliveryKeyOf } from '../../../shared/domain/topics/delivery.ts';

/**
 * Queue of deliveries. A delivery waits for the time of its next attempt, for its target to be free, and for one of
 * `activeMax` attempts to be free.
 */
export interface DeliveryQueue {
  /** Adds a pending delivery, or replaces it if it is queued. Ignored while an attempt of this delivery runs. */
  add(delivery: Delivery): void;
  /** Removes the deliveries for which `keep` returns false. A running attempt ends, and its outcome is stored. */
  retain(keep: (delivery: Delivery) => boolean): void;
  size(): { readonly waiting: number; readonly active: number };
  /** Starts no more attempts. Resolves when the running attempts have ended. */
  close(): Promise<void>;
}

export interface DeliveryQueueOptions {
  /** Makes one attempt and stores its outcome; resolves with the updated delivery. Never rejects. */
  readonly attempt: (delivery: Delivery) => Promise<Delivery>;
  readonly clock: Clock;
  /** Largest number of attempts at once, over all targets. */
  readonly activeMax?: number;
}

/** Longest delay of a timer. If the next delivery is due later, the queue is checked again after this time. */
const timerMsMax = 2 ** 31 - 1;

/**
 * Each target has at most one attempt at a time, and targets are served round robin. So a target that hangs occupies
 * one of `activeMax` attempts and delays only its own alerts. A delivery that waits for its retry occupies no attempt.
 */
export function createDeliveryQueue({ attempt, clock, activeMax = 64 }: DeliveryQueueOptions): DeliveryQueue {
  const timers = new Map<string, { timer: NodeJS.Timeout; delivery: Delivery }>();
  const waitingByTarget = new Map<string, Map<string, Delivery>>();
  const active = new Map<string, Promise<void>>();
  const busyTargets = new Set<string>();
  let closed = false;
  return { add, retain, size, close };

  function add(delivery: Delivery): void {
    const key = deliveryKeyOf(delivery);
    if (closed || active.has(key)) return;
    forget(key, delivery.target_id);
    const inMs = delivery.next_attempt_ms - clock.now();
    if (inMs <= 0) {
      enter(key, delivery);
      return;
    }
    const again = (): void => {
      timers.delete(key);
      add(delivery);
    };
    timers.set(key, { timer: setTimeout(again, Math.min(inMs, timerMsMax)), delivery });
  }

  function enter(key: string, delivery: Delivery): void {
    const waiting = waitingByTarget.get(delivery.target_id) ?? new Map<string, Delivery>();
    waitingByTarget.set(delivery.target_id, waiting.set(key, delivery));
    startNext();
  }

  /**
   * Starts attempts while fewer than `activeMax` run. Targets are served round robin: a target that was served moves to
   * the end.
   */
  function startNext(): void {
    for (const [target, waiting] of waitingByTarget) {
      if (closed || active.size >= activeMax) return;
      if (busyTargets.has(target)) continue;
      const [next] = waiting;
      waitingByTarget.delete(target);
      if (next === undefined) continue;
      const [key, delivery] = next;
      waiting.delete(key);
      if (waiting.size > 0) waitingByTarget.set(target, waiting);
      busyTargets.add(target);
      active.set(key, serve(key, delivery));
    }
  }

  async function serve(key: string, delivery: Delivery): Promise<void> {
    const after = await attempt(delivery);
    active.delete(key);
    busyTargets.delete(delivery.target_id);
    if (after.status === 'pending') add(after);
    startNext();
  }

  function retain(keep: (delivery: Delivery) => boolean): void {
    for (const [key, { delivery }] of timers) if (!keep(delivery)) forget(key, delivery.target_id);
    for (const waiting of waitingByTarget.values()) {
      for (const [key, delivery] of waiting) if (!keep(delivery)) waiting.delete(key);
    }
  }

  function forget(key: string, target: string): void {
    clearTimeout(timers.get(key)?.timer);
    timers.delete(key);
    waitingByTarget.get(target)?.delete(key);
  }

  function size(): { waiting: number; active: number } {
    let waitingNow = 0;
    for (const waiting of waitingByTarget.values()) waitingNow += waiting.size;
    return { waiting: timers.size + waitingNow, active: active.size };
  }

  async function close(): Promise<void> {
    closed = true;
    for (const { timer } of timers.values()) clearTimeout(timer);
    timers.clear();
    waitingByTarget.clear();
    await Promise.all(active.values());
  }
}
