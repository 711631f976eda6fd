import type { RedisClient } from '../client.ts';
import { readScript, runScript } from '../scripts.ts';

/** The reply of `leases.lua`. */
export interface LeaseReply {
  /** Ids for which the operation was done. */
  readonly done: number;
  /** Live leases afterwards. */
  readonly live: number;
  /** When the first of them ends unless renewed, Unix milliseconds; 0 without a live lease. */
  readonly firstEndsAtMs: number;
}

export type LeaseOperation = 'acquire' | 'renew' | 'release' | 'count';

const script = readScript('leases');

/** Runs one operation on the leases of a key. The caller limits how long it waits. */
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
