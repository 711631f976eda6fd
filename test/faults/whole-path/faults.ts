import { Redis } from 'ioredis';
import { outageOf, runOutages } from '../redis/outages.ts';
import type { Installation } from '../../support/services.ts';

/** What can be killed, paused and brought back: services and servers alike. */
export interface Target {
  kill(): Promise<unknown>;
  pause(): void;
  resume(): void;
  restart(): Promise<void>;
}

export interface Targets {
  readonly installation: Installation;
  readonly redis: Target & { readonly url: string };
  readonly kafka: Target;
  readonly clickhouse: Target;
}

export type FaultName =
  | `${'kill' | 'pause'} ${'gateway' | 'aggregator' | 'redis' | 'kafka' | 'clickhouse'}`
  | 'stop redis in series'
  | 'cut redis connections';

export const faultNames: readonly FaultName[] = [
  'kill gateway',
  'kill aggregator',
  'kill kafka',
  'kill clickhouse',
  'kill redis',
  'pause gateway',
  'pause aggregator',
  'pause kafka',
  'pause clickhouse',
  'pause redis',
  'stop redis in series',
  'cut redis connections',
];

/** Does it, and brings the victim back after `downMs`. Resolves when it runs again. */
export async function inject(fault: FaultName, downMs: number, targets: Targets): Promise<void> {
  if (fault === 'cut redis connections') return cutRedisConnections(targets.redis.url);
  if (fault === 'stop redis in series') {
    // As long as one outage, in three.
    const third = Math.ceil(downMs / 3);
    return runOutages(outageOf(targets.redis, 'SIGSTOP'), { count: 3, downMs: third, upMs: 300 });
  }
  const [deed, victim] = fault.split(' ') as [
    'kill' | 'pause',
    'gateway' | 'aggregator' | 'redis' | 'kafka' | 'clickhouse',
  ];
  const target: Target =
    victim === 'gateway' || victim === 'aggregator' ? targets.installation.service(victim) : targets[victim];
  if (deed === 'pause') {
    target.pause();
    await passing(downMs);
    target.resume();
    return;
  }
  await target.kill();
  await passing(downMs);
  await target.restart();
}

async function cutRedisConnections(url: string): Promise<void> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 });
  await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  redis.disconnect();
}

/** How long a fault lasts is part of the fault, not a wait for something to happen. */
export function passing(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Numbers in [0, 1) that a seed repeats (Mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
