import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { readScript, runScript } from '../scripts.ts';

/** Answer of `leases.lua`. */
export interface LeaseAnswer {
  /** Ids it was done for. */
  readonly done: number;
  /** Live leases afterwards. */
  readonly live: number;
  /** When the first of them ends by itself, Unix milliseconds; 0 when there is none. */
  readonly firstEndsAtMs: number;
}

const script = readScript('leases');

/** Rejects with REDIS_UNAVAILABLE. */
export async function runLeases(
  redis: RedisClient,
  key: string,
  what: 'acquire' | 'renew' | 'release' | 'count',
  options: { readonly leaseMs: number; readonly limit: number; readonly timeoutMs: number },
  ids: readonly string[],
): Promise<LeaseAnswer> {
  const call = runScript(redis, script, [key], [what, options.leaseMs, options.limit, ...ids]);
  const [done = 0, live = 0, firstEndsAtMs = 0] = (await replyWithin(call, options.timeoutMs)) as number[];
  return { done, live, firstEndsAtMs };
}
