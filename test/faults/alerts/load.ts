import { uniqueName } from '../../support/servers.ts';
import type { AlertFixture } from './fixture.ts';

/** Sends calls of a new tenant to each of the two gateways. */
export async function callsOfNewTenant(
  { run: policyRun, second }: AlertFixture,
  tier: string,
): Promise<Record<'main' | 'second', () => Promise<unknown>>> {
  const token = await policyRun.token({ tenant_id: uniqueName('calling'), tier });
  const authorization = `Bearer ${token}`;
  return {
    main: () => policyRun.call('GET /things', { token }),
    second: async () =>
      (await fetch(`${second.urls.gateway}/things`, { headers: { authorization } })).arrayBuffer(),
  };
}

/** Work that is repeated until `stop` is called. Failures of the work are ignored, because some faults cause them. */
export interface RepeatedWork {
  stop(): Promise<void>;
}

const runningMax = 50;

/** Starts the work `perSecond` times a second, also while earlier runs are not complete. */
export function repeatWork(perSecond: number, work: () => Promise<unknown>): RepeatedWork {
  const running = new Set<Promise<void>>();
  const timer = setInterval(() => {
    if (running.size >= runningMax) return;
    const one = work().then(
      () => undefined,
      () => undefined,
    );
    running.add(one);
    void one.then(() => running.delete(one));
  }, 1000 / perSecond);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(running);
    },
  };
}
