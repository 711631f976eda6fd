import type { RedisClient } from '../client.ts';
import { readScript, runScript } from '../scripts.ts';

/** The reply of `leases.lua`. */
export interface LeaseReply {
  /** Number of ids for which the operation was done. */
  readonly done: number;
  /** Number of live leases after the operation. */
  readonly live: number;
  /** Unix milliseconds at which the first live lease ends unless it is renewed; 0 without a live lease. */
  readonly firstEndsAtMs: number;
}

export type LeaseOperation = 'acquire' | 'renew' | 'release' | 'count';

const script = readScript('leases');

/** Runs one operation on the leases of a key. Has no time limit of its own: the caller must bound the wait. */
export async function runLeases(
  redis: RedisClient,
  key: string,
  operation: LeaseOperation,
  { leaseMs, limit }: { readonly leaseMs: number; readonly limit: number },
  ids: readonly string[],
): Promise<LeaseReply> {
  const reply = await runScript(redis, script, [key], [operation, leaseMs, limit, ...ids]);
  const [done = 0, live = 0, firstEndsAtMs = 0] = reply as number[];
  return { done, live, firstEndsAtMs };
}
