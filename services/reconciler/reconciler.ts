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
import { createCallerRaiser } from './caller-raiser.ts';
import { createCallerHealer } from './callers.ts';
import { followDegradedCallers } from './degraded-callers.ts';
import { createDrift } from './drift.ts';
import { createHealer } from './quota-restorer.ts';
import { readingsOfAll } from './rebuild.ts';
import type { RebuildQuestion } from './rebuild.ts';
import { startVigil } from './loss-monitor.ts';
import { followZones } from './zone-changes.ts';

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
  /** The process has to exit: consuming has come to a halt. */
  readonly onStalled: (error: unknown) => void;
}

export interface Reconciler {
  /** What keeps the counters from being right, for `/readyz`. */
  unready(): string[];
  close(): Promise<void>;
}

/**
 * Keeps quota counters in Redis from saying less than ClickHouse: all of them when Redis has lost them, and those of a
 * tenant whenever its totals are announced. Offsets are committed after Redis took the values.
 */
export function runReconciler(options: ReconcilerOptions): Reconciler {
  const { kafka, topics, tenants, clickhouse, policy, clock, registry, logger } = options;
  const drift = createDrift(registry, clock);
  const healer = createHealer({ ...options, drift });
  const raise = createCallerRaiser({ ...options, drift });
  const callers = createCallerHealer({ ...options, raise, question });
  const degradedCallers = followDegradedCallers({
    ...options,
    raise,
    question,
    ready: () => tenants.ready(),
  });
  const unreadable = new Counter({
    name: 'tollgate_totals_unreadable_total',
    help: 'Announcements of totals that could not be read and went to the dead letters.',
    registers: [registry],
  });
  const vigil = startVigil({ ...options, rebuild });
  const zones = followZones({ ...options, heal: healTenants });
  const producer = createProducer(kafka, { registry });
  const consumer = runConsumer(kafka, {
    topic: topics.totals,
    groupId: options.groupId,
    groupLabel: 'reconciler',
    onBatch: ({ messages }) => healAnnounced(messages),
    deadLetters: createDeadLetterWriter({ ...options, producer }),
    batchRecordsMax: 2_000,
    registry,
    onStalled: options.onStalled,
  });
  return {
    unready: () => [
      ...(tenants.ready() ? [] : ['tenant records']),
      ...(vigil.trusted() ? [] : ['counters']),
      ...(consumer.joined() ? [] : ['kafka']),
    ],
    close: async () => {
      await consumer.close();
      await zones.close();
      await producer.close();
      await vigil.close();
      await callers.close();
      await degradedCallers.close();
    },
  };

  async function healAnnounced(messages: readonly ConsumedMessage[]): Promise<readonly RejectedMessage[]> {
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
        if (!Number.isNaN(sinceMs)) degradedCallers.note(totals.tenant_id, sinceMs);
      }
    }
    unreadable.inc(rejected.length);
    const nowMs = clock.now();
    const unhealed = await healer.heal(
      [...latest.values()].flatMap(({ totals }) =>
        readingsOf(totals, policy(), tenants.get(totals.tenant_id) ?? null, nowMs),
      ),
    );
    for (const { tenantId, reason } of unhealed) {
      const message = latest.get(tenantId)?.message;
      if (message !== undefined) rejected.push({ message, reason });
      // One letter for each announcement, however many quotas it is about.
      latest.delete(tenantId);
    }
    return rejected;
  }

  async function healTenants(tenantIds: ReadonlySet<string>): Promise<void> {
    requireRecords();
    await healOrLog(await readingsOfAll({ ...question(), tenantIds }));
  }

  async function rebuild(): Promise<{ counters: number }> {
    requireRecords();
    const readings = await readingsOfAll(question());
    await healOrLog(readings);
    // Tenants first: their counters are more and take less to read.
    return { counters: readings.length + (await callers.heal()) };
  }

  async function healOrLog(readings: readonly QuotaReading[]): Promise<void> {
    for (const { tenantId, reason } of await healer.heal(readings)) {
      logger.error({ tenant_id: tenantId, reason }, 'a quota could not be restored');
    }
  }

  function question(): RebuildQuestion {
    const records = new Map([...tenants.all()].map((record) => [record.tenant_id, record]));
    return { clickhouse, policy: policy(), records, nowMs: clock.now() };
  }

  /** Without the records plans, zones and resets are not known, and a counter might be raised beyond a reset. */
  function requireRecords(): void {
    if (!tenants.ready()) throw new TollgateError('KAFKA_UNAVAILABLE', 'The tenant records are not read yet');
  }
}
