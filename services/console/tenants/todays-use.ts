import type { ConsoleParts } from '../console.ts';
import type { TenantUse } from '../usage-reader.ts';

const tenantsMax = 100_000;

/** Today's usage of every tenant; null, counted and logged, when ClickHouse does not answer. */
export async function todaysUse({
  usage,
  clock,
  metrics,
  logger,
}: Pick<ConsoleParts, 'usage' | 'clock' | 'metrics' | 'logger'>): Promise<readonly TenantUse[] | null> {
  try {
    return await usage.heaviest(clock.now(), tenantsMax);
  } catch (error) {
    metrics.failedReads.inc({ store: 'clickhouse' });
    logger.warn({ err: error }, "today's usage cannot be read");
    return null;
  }
}
