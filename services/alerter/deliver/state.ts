import type { Kafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { readTable } from '../../../shared/kafka/tables/table.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { deliveryKeyOf, readDelivery } from '../../../shared/domain/topics/delivery.ts';
import type { Delivery } from '../../../shared/domain/topics/delivery.ts';

/** The deliveries topic: the state of each delivery. */
export interface DeliveryState {
  /** Returns the delivery if it is pending, null if it is finished, and undefined if it does not exist. */
  get(key: string): Delivery | null | undefined;
  /** All pending deliveries. */
  pending(): Iterable<Delivery>;
  /** Unix ms at which the target last responded with 410; null if it never did. */
  goneAtMs(tenantId: string, targetId: string): number | null;
  ready(): boolean;
  /** Resolves once all states that were stored before the call have been read. */
  catchUp(): Promise<void>;
  /** Resolves when Kafka has stored the states. */
  store(deliveries: readonly Delivery[]): Promise<void>;
  close(): Promise<void>;
}

export interface DeliveryStateOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly producer: Producer;
  readonly registry: Registry;
}

/**
 * One entry of the table. It holds a pending delivery in full; for a finished delivery, only the fact that it is
 * finished.
 */
interface Kept {
  /** Increases with each attempt and with the final state, so it does not depend on the clocks of alerters. */
  readonly version: number;
  readonly pending: Delivery | null;
  readonly gone: { readonly target: string; readonly atMs: number } | null;
}

export function createDeliveryState(options: DeliveryStateOptions): DeliveryState {
  const { kafka, topics, producer, registry } = options;
  const pending = new Map<string, Delivery>();
  const gone = new Map<string, number>();
  const table = readTable<Kept>(kafka, {
    topic: topics.deliveries,
    name: 'deliveries',
    decode: (value, key) => {
      const delivery = readDelivery({ key, value });
      return delivery === null ? undefined : keptOf(delivery);
    },
    versionOf: (kept) => kept?.version ?? Infinity,
    onChange,
    registry,
  });
  return {
    get: (key) => (table.get(key) === undefined ? undefined : (pending.get(key) ?? null)),
    pending: () => pending.values(),
    goneAtMs: (tenantId, targetId) => gone.get(targetKey(tenantId, targetId)) ?? null,
    ready: () => table.ready(),
    catchUp: () => table.catchUp(),
    store,
    close: () => table.close(),
  };

  function onChange(key: string, kept: Kept | null, before: Kept | null): void {
    if (kept?.gone) gone.set(kept.gone.target, kept.gone.atMs);
    const isFinal = before !== null && before.pending === null;
    // A finished delivery stays finished: only a member that was paused while its partitions moved writes it as pending
    // again, and that record is ignored.
    if (kept === null || kept.pending === null || isFinal) pending.delete(key);
    else pending.set(key, kept.pending);
  }

  async function store(deliveries: readonly Delivery[]): Promise<void> {
    const records = deliveries.map((delivery) => ({
      key: deliveryKeyOf(delivery),
      value: JSON.stringify(delivery),
    }));
    const places = await producer.send(topics.deliveries, records);
    for (const [index, delivery] of deliveries.entries()) {
      const place = places[index];
      const kept = keptOf(delivery);
      if (place !== undefined)
        table.applyOwn(deliveryKeyOf(delivery), kept, { ...place, version: kept.version });
    }
  }
}

function keptOf(delivery: Delivery): Kept {
  const { status, attempts, gone, updated_ms: atMs, alert, target_id } = delivery;
  return {
    version: 2 * attempts + (status === 'pending' ? 0 : 1),
    pending: status === 'pending' ? delivery : null,
    gone: gone === true ? { target: targetKey(alert.tenant_id, target_id), atMs } : null,
  };
}

function targetKey(tenantId: string, targetId: string): string {
  return JSON.stringify([tenantId, targetId]);
}
