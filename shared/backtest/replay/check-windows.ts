import type { Shape } from '../../redis/decision/windows.ts';
import type { Counter } from './counters.ts';

/** Result of a check of all windows of a request. */
export interface WindowsChecked {
  readonly passed: boolean;
  /** Names of the limits without room, in order, limits in shadow mode included. */
  readonly limitedBy: readonly string[];
  readonly charged: readonly ChargedCounter[];
}

/** Amounts of a quantity that a request charged to a counter. */
export interface ChargedCounter {
  readonly counter: Counter;
  readonly quantity: string;
  readonly amount: number;
  readonly atMs: number;
}

const noNames: readonly string[] = [];
const noCharges: readonly ChargedCounter[] = [];

/**
 * Checks the windows of a request with the rules of `windows.lua`: charges all windows with room if every enforced window has
 * room, else none. `amounts`: what the request charges, by index of the shape's quantities. `counterAt` returns the counter of a
 * window by its index; null for a window that is not evaluated.
 */
export function checkWindows(
  shape: Shape,
  amounts: readonly number[],
  decidedAtMs: number,
  counterAt: (index: number) => Counter | null,
): WindowsChecked {
  const { windows, quantityOf } = shape;
  const nowMs = Math.floor(decidedAtMs);
  let passed = true;
  let limitedBy = noNames;
  const withRoom: (Counter | null)[] = [];
  for (let index = 0; index < windows.length; index += 1) {
    const window = windows[index];
    const counter = window?.counts === 'charged' ? counterAt(index) : null;
    // An amount of 0 is tested for the smallest amount, as in Redis.
    const need = Math.max(1, amounts[quantityOf[index] ?? 0] ?? 0);
    const hasRoom = counter === null || counter.hasRoom(need, nowMs);
    withRoom.push(hasRoom ? counter : null);
    if (hasRoom || window === undefined) continue;
    limitedBy = [...limitedBy, window.limit.name];
    if (!window.shadow) passed = false;
  }
  return {
    passed,
    limitedBy,
    charged: passed ? chargeAll(shape, amounts, decidedAtMs, withRoom) : noCharges,
  };
}

/** Charges the amounts to these counters. */
export function chargeAll(
  { quantities, quantityOf }: Shape,
  amounts: readonly number[],
  decidedAtMs: number,
  counters: readonly (Counter | null)[],
): readonly ChargedCounter[] {
  const charged: ChargedCounter[] = [];
  const [nowMs, storedAtMs] = [Math.floor(decidedAtMs), Math.ceil(decidedAtMs)];
  for (const [index, counter] of counters.entries()) {
    const position = quantityOf[index] ?? 0;
    const amount = amounts[position] ?? 0;
    if (counter === null || amount === 0) continue;
    const quantity = quantities[position] ?? '';
    charged.push({ counter, quantity, amount, atMs: counter.charge(amount, nowMs, storedAtMs) });
  }
  return charged;
}
