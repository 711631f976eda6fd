import type { Registry } from 'prom-client';
import { apiKeysOf, keyEndMs } from '../domain/tenant.ts';
import type { KeyHolder, TenantRecord } from '../domain/tenant.ts';
import { TollgateError } from '../runtime/errors.ts';
import { textOfFaults } from '../runtime/schema-faults.ts';
import { faultsInRecord } from '../tenants/record-faults.ts';
import type { Kafka } from './kafka.ts';
import { createProducer } from './producer.ts';
import { readTable } from './table.ts';
import { readTenantRecord } from './tenant-record.ts';
import type { Topics } from './topics.ts';

/**
 * The records of all tenants, in memory, as the compacted tenant topic has them: no request waits for a look-up.
 * About 1 kB a record with the usual fields; a record is at most some 100 kB (`record-schema.ts` bounds its lists).
 */
export interface TenantDirectory {
  get(tenantId: string): TenantRecord | undefined;
  /**
   * By lower-case hex SHA-256 of the key, expired keys included. Of two tenants with the same key the one written last
   * has it.
   */
  byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
  /**
   * Replaces the record. Resolves when Kafka has it; from then on `get` answers it here, and elsewhere within moments.
   * Rejects with TENANT_RECORD_INVALID, KAFKA_UNAVAILABLE or KAFKA_PRODUCE_UNVERIFIED.
   */
  put(record: TenantRecord): Promise<void>;
  remove(tenantId: string): Promise<void>;
  all(): IterableIterator<TenantRecord>;
  size(): number;
  /**
   * True once the topic was read to its end. Until then, and while Kafka is away, records may be missing or old:
   * a gateway serves such tenants by the plan their token claims.
   */
  ready(): boolean;
  /**
   * Resolves once every record is here that was written before the call, whoever wrote it. Rejects with
   * KAFKA_UNAVAILABLE when that takes longer than some seconds.
   */
  catchUp(): Promise<void>;
  /** Called after each change with the new record, null when it was removed. Returns how to stop. */
  onChange(listener: TenantListener): () => void;
  close(): Promise<void>;
}

export type TenantListener = (tenantId: string, record: TenantRecord | null) => void;

export interface TenantDirectoryOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly registry: Registry;
  /** Bound of one `put`. An operator waits for it. */
  readonly putTimeoutMs?: number;
}

/** Opens at once and reads in the background; never throws because of Kafka. */
export function createTenantDirectory(options: TenantDirectoryOptions): TenantDirectory {
  const { kafka, topics, registry, putTimeoutMs = 10_000 } = options;
  const holderOfKey = new Map<string, KeyHolder>();
  const listeners = new Set<TenantListener>();
  const table = readTable<TenantRecord>(kafka, {
    topic: topics.tenants,
    name: 'tenants',
    decode: decodeRecord,
    onChange,
    registry,
  });
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs: putTimeoutMs });

  return {
    get: (tenantId) => table.get(tenantId),
    byApiKeyHash: (sha256Hex) => holderOfKey.get(sha256Hex),
    async put(record) {
      const faults = faultsInRecord(record);
      if (faults.length > 0) throw new TollgateError('TENANT_RECORD_INVALID', textOfFaults(faults, 'record'));
      await write(record.tenant_id, record);
    },
    remove: (tenantId) => write(tenantId, null),
    all: () => table.entries().values(),
    size: () => table.entries().size,
    ready: () => table.ready(),
    catchUp: () => table.catchUp(),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      await Promise.all([table.close(), producer.close()]);
    },
  };

  async function write(tenantId: string, record: TenantRecord | null): Promise<void> {
    const value = record === null ? null : JSON.stringify(record);
    const [place] = await producer.send(topics.tenants, [{ key: tenantId, value }]);
    if (place !== undefined) table.applyOwn(tenantId, record, place);
  }

  function onChange(tenantId: string, record: TenantRecord | null, before: TenantRecord | null): void {
    if (before !== null) {
      for (const { sha256 } of apiKeysOf(before)) {
        if (holderOfKey.get(sha256)?.record.tenant_id === tenantId) holderOfKey.delete(sha256);
      }
    }
    if (record !== null) {
      for (const key of apiKeysOf(record)) {
        holderOfKey.set(key.sha256, { record, expiresAtMs: keyEndMs(key) });
      }
    }
    for (const listener of listeners) listener(tenantId, record);
  }
}

function decodeRecord(value: Buffer, key: string): TenantRecord | undefined {
  const read = readTenantRecord({ key, value });
  return 'record' in read ? read.record : undefined;
}
