import type { ClickHouseReader } from '../../clickhouse/client.ts';
import { failingTargets } from '../../clickhouse/queries/installation/failing-targets.ts';
import type { FailingTarget } from '../../clickhouse/queries/installation/failing-targets.ts';
import { latestRebuild } from '../../clickhouse/queries/installation/latest-rebuild.ts';
import { servedSince } from '../../clickhouse/queries/installation/served-since.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { targetsIn } from '../notification-targets.ts';

/** State of the whole installation, as ClickHouse has it. Every function rejects if ClickHouse does not answer. */
export interface Installation {
  /**
   * Targets of notifications whose newest alert since `sinceMs` has an error, also because the target is disabled. Targets that the
   * tenant has removed are left out.
   */
  failingTargets(sinceMs: number): Promise<FailingTarget[]>;
  /** Time at which the last rebuild of lost counters began, ISO 8601; null if there was none since `sinceMs`. */
  latestRebuild(sinceMs: number): Promise<string | null>;
  /** True if a gateway recorded a request since the UTC day of `sinceMs`. */
  servedSince(sinceMs: number): Promise<boolean>;
}

export interface InstallationSources {
  readonly clickhouse: ClickHouseReader;
  readonly directory: { get(tenantId: string): TenantRecord | undefined };
}

const targetsMax = 1_000;

export function createInstallation({ clickhouse, directory }: InstallationSources): Installation {
  return {
    async failingTargets(sinceMs) {
      const failing = await failingTargets(clickhouse, sinceMs, targetsMax);
      return failing.filter(({ tenant_id: tenantId, channel, target }) =>
        targetsIn(directory.get(tenantId)?.notifications).some(
          (one) => one.channel === channel && one.shown === target,
        ),
      );
    },
    latestRebuild: (sinceMs) => latestRebuild(clickhouse, sinceMs),
    servedSince: (sinceMs) => servedSince(clickhouse, sinceMs),
  };
}
