import type { ClientCall } from './streams.ts';

/** A call with a response, and the amount with which it was settled, in millionths of a usd. */
export interface ChargedCall extends Pick<ClientCall, 'headAtMs' | 'endAtMs'> {
  readonly actual: number;
}

/**
 * Returns the largest amounts that were certainly charged at one moment. A call is charged its reservation before the
 * head of its response arrives, and it is settled only after the end. `admitted` counts at most the reservation of each
 * call; `used` also counts what calls used beyond it.
 */
export function largestCharged(
  calls: readonly ChargedCall[],
  reserved: number,
): { readonly admitted: number; readonly used: number } {
  let [admitted, used] = [0, 0];
  for (const atMs of calls.flatMap(({ headAtMs, endAtMs }) => [headAtMs, endAtMs])) {
    if (atMs === Infinity) continue;
    const begun = calls.filter(({ headAtMs }) => headAtMs <= atMs);
    const sum = (amountOf: (call: ChargedCall) => number): number =>
      begun.reduce((all, call) => all + (call.endAtMs > atMs ? reserved : amountOf(call)), 0);
    admitted = Math.max(
      admitted,
      sum(({ actual }) => Math.min(actual, reserved)),
    );
    used = Math.max(
      used,
      sum(({ actual }) => actual),
    );
  }
  return { admitted, used };
}
