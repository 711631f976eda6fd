/**
 * Returns the part of a limit that each of `nodes` nodes may grant without Redis: the limit divided by the number of nodes,
 * rounded down. The share is at least 1, so that a small limit does not refuse all requests; a limit of 0 has a share of 0.
 */
export function nodeShare(limit: number, nodes: number): number {
  return limit <= 0 ? 0 : Math.max(1, Math.floor(limit / Math.max(1, nodes)));
}
