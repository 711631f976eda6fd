import { Counter } from 'prom-client';
import type { ClickHouse } from '../../shared/clickhouse/client.ts';
import type { Policy } from '../../shared/domain/policy.ts';
import type { TenantTotals } from '../../shared/domain/topics/totals.ts';
import type { RejectedMessage } from '../../shared/kafka/consumer/handling.ts';
import { runConsumer } from '../../shared/kafka/consumer/consumer.ts';
import { createDeadLetterWriter } from '../../shared/kafka/dead-letters/writer.ts';
import type { ConsumedMessage } from '../../shared/kafka/message.ts';
import type { Kafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../shared/kafka/producer/producer.ts';
import { notTotals, readTotals } from '../../shared/domain/topics/totals.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import type { Topics } from '../../shared/kafka/topics.ts';
import { readingsOf } from '../../shared/policy/quota-readings.ts';
import type { QuotaReading } from '../../shared/policy/quota-readings.ts';
import type { Limiter } from '../../shared/redis/decision/limiter.ts';
import type { LossWatch } from '../../shared/redis/loss-watch.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import { TollgateError } from '../../shared/runtime/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { traceBatch } from '../../shared/runtime/tracing/tracing.ts';
import type { Tracing } from '../../shared/runtime/tracing/tracing.ts';
import { createCallerRestorer } from './restore/caller-restorer.ts';
import { createCallersAfterLoss } from './redis-loss/callers-after-loss.ts';
import { followDegradedCallers } from './degraded/degraded-callers.ts';
import { createDrift } from './restore/drift.ts';
import { createQuotaRestorer } from './restore/quota-restorer.ts';
import { readTenantQuotas } from './restore/tenant-readings.ts';
import type { TenantReadingsQuery } from './restore/tenant-readings.ts';
import { startLossMonitor } from './redis-loss/loss-monitor.ts';
import { followCalendarChanges } from './calendar-changes.ts';

export interface ReconcilerOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  /** Consumer group: reconcilers of one installation share it. */
  readonly groupId: string;
  readonly tenants: TenantDirectory;
  readonly clickhouse: ClickHouse;
  readonly limiter: Limiter;
  readonly watch: LossWatch;
  readonly policy: () => Policy;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Called when the consumer has stopped for good: the process has to exit. */
  readonly onStalled: (error: unknown) => void;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
}

export interface Reconciler {
  /** Names of the parts that are not ready, for `/readyz`; empty when all counters are complete. */
  unready(): string[];
  close(): Promise<void>;
}

/**
 * Raises quota counters in Redis to ClickHouse's totals: all counters after Redis lost its data, and the counters of one tenant
 * whenever its totals are announced. Offsets are committed after Redis has stored the values.
 */
export function runReconciler(options: ReconcilerOptions): Reconciler {
  const { kafka, topics, tenants, clickhouse, policy, clock, registry, logger, tracing = null } = options;
  const drift = createDrift(registry, clock);
  const restorer = createQuotaRestorer({ ...options, drift });
  const restoreCallers = createCallerRestorer({ ...options, drift });
  const callers = createCallersAfterLoss({ ...options, restoreCallers, query });
  const degradedCallers = followDegradedCallers({
    ...options,
    restoreCallers,
    query,
    ready: () => tenants.ready(),
  });
  const unreadable = new Counter({
    name: 'tollgate_totals_unreadable_total',
    help: 'Records of the totals topic that could not be read and were written to the dead-letter topic.',
    registers: [registry],
  });
  const monitor = startLossMonitor({ ...options, rebuild });
  const calendarChanges = followCalendarChanges({ ...options, restore: restoreTenants });
  const producer = createProducer(kafka, { registry });
  const consumer = runConsumer(kafka, {
    topic: topics.totals,
    groupId: options.groupId,
    groupLabel: 'reconciler',
    onBatch: ({ messages }) =>
      traceBatch(tracing, { operation: 'process', topic: topics.totals, records: messages }, () =>
        restoreAnnounced(messages),
      ),
    deadLetters: createDeadLetterWriter({ ...options, producer }),
    batchRecordsMax: 2_000,
    registry,
    onStalled: options.onStalled,
  });
  return {
    unready: () => [
      ...(tenants.ready() ? [] : ['tenant records']),
      ...(monitor.trusted() ? [] : ['counters']),
      ...(consumer.joined() ? [] : ['kafka']),
    ],
    close: async () => {
      await consumer.close();
      await calendarChanges.close();
      await producer.close();
      await monitor.close();
      await callers.close();
      await degradedCallers.close();
    },
  };

  async function restoreAnnounced(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]> {
    requireRecords();
    const rejected: RejectedMessage[] = [];
    const latest = new Map<string, { readonly totals: TenantTotals; readonly message: ConsumedMessage }>();
    for (const message of messages) {
      if (message.value === null) continue;
      const totals = readTotals(message);
      if (totals === null) rejected.push({ message, reason: notTotals });
      else {
        latest.set(totals.tenant_id, { totals, message });
        const sinceMs = Date.parse(totals.degraded_since ?? '');
        if (!Number.isNaN(sinceMs)) degradedCallers.add(totals.tenant_id, sinceMs);
      }
    }
    unreadable.inc(rejected.length);
    const nowMs = clock.now();
    const unrestored = await restorer.restore(
      [...latest.values()].flatMap(({ totals }) =>
        readingsOf(totals, policy(), tenants.get(totals.tenant_id) ?? null, nowMs),
      ),
      'excluded',
    );
    for (const { tenantId, reason } of unrestored) {
      const message = latest.get(tenantId)?.message;
      if (message !== undefined) rejected.push({ message, reason });
      // The announcement is removed, so that it becomes one dead letter even if several of its quotas failed.
      latest.delete(tenantId);
    }
    return rejected;
  }

  async function restoreTenants(tenantIds: ReadonlySet<string>): Promise<void> {
    requireRecords();
    await restoreOrLog(await readTenantQuotas({ ...query(), tenantIds }));
  }

  async function rebuild(): Promise<{ counters: number }> {
    requireRecords();
    const readings = await readTenantQuotas(query());
    await restoreOrLog(readings);
    // Counters of tenants are restored before those of users and addresses, because there are more counters of tenants
    // and reading them is faster.
    return { counters: readings.length + (await callers.restore()) };
  }

  async function restoreOrLog(readings: readonly QuotaReading[]): Promise<void> {
    for (const { tenantId, reason } of await restorer.restore(readings, 'counted')) {
      logger.error({ tenant_id: tenantId, reason }, 'a quota could not be restored');
    }
  }

  function query(): TenantReadingsQuery {
    const records = new Map([...tenants.all()].map((record) => [record.tenant_id, record]));
    return { clickhouse, policy: policy(), records, nowMs: clock.now() };
  }

  /**
   * Throws unless the tenant records are read. They hold plans, time zones and resets: without them, a counter might include
   * units from before a reset.
   */
  function requireRecords(): void {
    if (!tenants.ready()) throw new TollgateError('KAFKA_UNAVAILABLE', 'The tenant records are not read yet');
  }
}
