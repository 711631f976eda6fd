import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Delivery } from './delivery.ts';
import { deliveryKeyOf } from './delivery.ts';

/** Deliveries that wait for their time, their target's turn and a free place. */
export interface DeliveryQueue {
  /** Adds a pending delivery, or replaces what is queued of it. One that is being attempted is left alone. */
  add(delivery: Delivery): void;
  /** Forgets those that no longer belong here; attempts under way end, and their outcome is still told. */
  retain(keep: (delivery: Delivery) => boolean): void;
  size(): { readonly waiting: number; readonly active: number };
  /** Starts no more attempts, and resolves when those under way have ended. */
  close(): Promise<void>;
}

export interface DeliveryQueueOptions {
  /** One attempt, its outcome stored; answers the delivery as it stands then. Never rejects. */
  readonly attempt: (delivery: Delivery) => Promise<Delivery>;
  readonly clock: Clock;
  /** Attempts at once, over all targets. */
  readonly activeMax?: number;
}

/** Longest timer there is; a later delivery is looked at again by then. */
const timerMsMax = 2 ** 31 - 1;

/**
 * A target is tried by one attempt at a time and targets take turns, so one that hangs holds one place and delays
 * nobody else's alerts. Retries wait outside the lines: a delivery that waits for its time holds no place.
 */
export function createDeliveryQueue({ attempt, clock, activeMax = 64 }: DeliveryQueueOptions): DeliveryQueue {
  const timers = new Map<string, { timer: NodeJS.Timeout; delivery: Delivery }>();
  const lines = new Map<string, Map<string, Delivery>>();
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
    const line = lines.get(delivery.target_id) ?? new Map<string, Delivery>();
    lines.set(delivery.target_id, line.set(key, delivery));
    advance();
  }

  /** Gives free places to the lines in turn: a line that was served goes to the end. */
  function advance(): void {
    for (const [target, line] of lines) {
      if (closed || active.size >= activeMax) return;
      if (busyTargets.has(target)) continue;
      const [next] = line;
      lines.delete(target);
      if (next === undefined) continue;
      const [key, delivery] = next;
      line.delete(key);
      if (line.size > 0) lines.set(target, line);
      busyTargets.add(target);
      active.set(key, serve(key, delivery));
    }
  }

  async function serve(key: string, delivery: Delivery): Promise<void> {
    const after = await attempt(delivery);
    active.delete(key);
    busyTargets.delete(delivery.target_id);
    if (after.status === 'pending') add(after);
    advance();
  }

  function retain(keep: (delivery: Delivery) => boolean): void {
    for (const [key, { delivery }] of timers) if (!keep(delivery)) forget(key, delivery.target_id);
    for (const line of lines.values()) {
      for (const [key, delivery] of line) if (!keep(delivery)) line.delete(key);
    }
  }

  function forget(key: string, target: string): void {
    clearTimeout(timers.get(key)?.timer);
    timers.delete(key);
    lines.get(target)?.delete(key);
  }

  function size(): { waiting: number; active: number } {
    let inLines = 0;
    for (const line of lines.values()) inLines += line.size;
    return { waiting: timers.size + inLines, active: active.size };
  }

  async function close(): Promise<void> {
    closed = true;
    for (const { timer } of timers.values()) clearTimeout(timer);
    timers.clear();
    lines.clear();
    await Promise.all(active.values());
  }
}
