import type { Clock } from '../../runtime/time/clock.ts';
import type { RedisClient } from '../client.ts';
import { readScript, runScript } from '../scripts.ts';
import type { Subject } from './subjects.ts';
import type { Window } from './windows.ts';

/** Units to return to one window. */
export interface WindowReturn {
  readonly key: Subject['key'];
  /** Key of the hash that holds the epoch of the window. */
  readonly epochKey: Subject['key'];
  readonly window: Pick<Window, 'field' | 'period' | 'spanMs'>;
  readonly units: number;
}

export interface Charge {
  /** Timestamp with which Redis stored the units, Unix milliseconds. */
  readonly storedAtMs: number;
  /** Epoch of the windows at that time; null if it is unknown. The script then compares the time of the last reset. */
  readonly epoch: number | null;
}

export interface ReturnUnitsOptions {
  readonly redis: RedisClient;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
}

const script = readScript('clock', 'sliding', 'quota', 'return-units');
const unknownEpoch = -1;

/** Returns units of one charge, whose windows are all in one slot, to the windows that still count them. */
export async function returnUnitsOf(
  { redis, redisTime, epochMs }: ReturnUnitsOptions,
  returns: readonly WindowReturn[],
  { storedAtMs, epoch }: Charge,
): Promise<void> {
  const keys = returns.flatMap(({ key, epochKey }) => [key, epochKey]);
  const windows = returns.flatMap(({ units, window: { field, period, spanMs } }) => [
    units,
    field,
    period === null ? spanMs : 0,
  ]);
  const args = [redisTime?.now() ?? '', epochMs(), storedAtMs, epoch ?? unknownEpoch, ...windows];
  await runScript(redis, script, keys, args);
}
