import { readFileSync } from 'node:fs';

/** Nanoseconds in which this thread ran, and in which it was ready and waited for a core. */
function schedule(): { readonly ran: number; readonly waited: number } {
  const [ran, waited] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ').map(Number);
  return { ran: ran ?? 0, waited: waited ?? 0 };
}

/**
 * Starts to measure time for a bound that Tollgate promises. The returned function returns the milliseconds since then
 * without the share in which other processes kept this thread from a core: on an idle machine all of the time, and a third
 * of it if the thread had waited twice as long as it ran. So the bound holds on a busy machine as it is stated.
 */
export function startUndisturbedTime(): () => number {
  const startedAt = performance.now();
  const first = schedule();
  return () => {
    const elapsedMs = performance.now() - startedAt;
    const { ran, waited } = schedule();
    const ranNs = Math.max(ran - first.ran, 1);
    return (elapsedMs * ranNs) / (ranNs + waited - first.waited);
  };
}
