import type { PolicyRun } from '../../support/policy-run.ts';

/** One response that the tenant received. */
export interface Seen {
  readonly atMs: number;
  readonly status: number;
  /** Remaining units of the quota according to the response. */
  readonly remaining: number;
}

export interface TenantLoad {
  readonly seen: readonly Seen[];
  passed(): number;
  stop(): Promise<void>;
}

const tickMs = 20;
const inFlightMax = 200;

/**
 * A steady open-loop load of one tenant: a slow gateway receives the same number of requests per second as a fast one,
 * as long as at most `inFlightMax` are in flight.
 */
export function startTenantLoad(run: PolicyRun, token: string, requestsPerSecond: number): TenantLoad {
  const seen: Seen[] = [];
  const inFlight = new Set<Promise<void>>();
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * requestsPerSecond);
    for (; sent < due && inFlight.size < inFlightMax; sent += 1) {
      const request = send().finally(() => inFlight.delete(request));
      inFlight.add(request);
    }
    sent = Math.max(sent, due);
  }, tickMs);

  async function send(): Promise<void> {
    const { status, headers } = await run.call('GET /things', { token });
    seen.push({ atMs: performance.now(), status, remaining: Number(headers.get('x-ratelimit-remaining')) });
  }

  return {
    seen,
    passed: () => seen.filter(({ status }) => status === 200).length,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(inFlight);
    },
  };
}
