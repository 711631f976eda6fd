import type { Registry } from 'prom-client';
import { auditHeader } from '../../domain/topics/audit-entry.ts';
import type { AuditEntry } from '../../domain/topics/audit-entry.ts';
import { apiKeysOf, keyEndMs } from '../../domain/tenant.ts';
import type { KeyHolder, TenantRecord } from '../../domain/tenant.ts';
import { systemClock } from '../../runtime/time/clock.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import { TollgateError } from '../../runtime/errors.ts';
import { recordViolationText } from '../../tenants/record/violations.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import { createProducer } from '../producer/producer.ts';
import { readTable } from './table.ts';
import {
  readTenantRecord,
  versionAfter,
  versionHeader,
  versionOf,
  versionOfDeletion,
} from '../../domain/topics/tenant-record.ts';
import { readTopicEnds } from '../offsets/topic-offsets.ts';
import type { Topics } from '../topics.ts';

/**
 * The records of all tenants, from the compacted tenants topic, in memory. So no request waits for a query. A record
 * with the usual fields needs about 1 kB, and at most about 100 kB (`record/schema.ts` limits its lists).
 */
export interface TenantDirectory {
  get(tenantId: string): TenantRecord | undefined;
  /**
   * Returns the tenant of an API key by the key's SHA-256 in lower-case hexadecimal, also for an expired key. If two
   * tenants have the same key, the record that was written last counts.
   */
  byApiKeyHash(sha256Hex: string): KeyHolder | undefined;
  /**
   * Replaces the record of a tenant; the version in the argument is ignored. Resolves with the stored record when Kafka
   * has it. Its version is higher than the versions of all records in this directory. From then on `get` returns the
   * new record, in other processes a moment later. If two processes replace a record at the same time, all processes
   * end with the same one of the two records. Rejects with TENANT_RECORD_INVALID, KAFKA_UNAVAILABLE or
   * KAFKA_PRODUCE_UNVERIFIED. With `audit`, the record has this entry of the audit trail in a header, so that neither is
   * stored without the other.
   */
  put(record: TenantRecord, audit?: AuditEntry): Promise<TenantRecord>;
  /** Deletes the record of a tenant. With `audit`, the tombstone has this entry, as the record of `put`. */
  remove(tenantId: string, audit?: AuditEntry): Promise<void>;
  all(): IterableIterator<TenantRecord>;
  size(): number;
  /**
   * True once the topic was read to its end. Before that, and during an outage of Kafka, records may be missing or old.
   * If a record is missing, a gateway uses the plan that the tenant's token claims.
   */
  ready(): boolean;
  /**
   * Resolves once the directory has every record that any process wrote before this call. Rejects with
   * KAFKA_UNAVAILABLE after some seconds.
   */
  catchUp(): Promise<void>;
  /** The listener is called after each change, with null for a removed record. Returns a function that removes the listener. */
  onChange(listener: TenantListener): () => void;
  close(): Promise<void>;
}

export type TenantListener = (tenantId: string, record: TenantRecord | null) => void;

export interface TenantDirectoryOptions {
  readonly kafka: Kafka;
  readonly topics: Topics;
  readonly registry: Registry;
  /** Time limit of one `put`. It is short, because an operator waits for the result. */
  readonly putTimeoutMs?: number;
  readonly clock?: Clock;
}

/** Returns at once and reads in the background; never throws because of Kafka. */
export function createTenantDirectory(options: TenantDirectoryOptions): TenantDirectory {
  const { kafka, topics, registry, putTimeoutMs = 10_000, clock = systemClock } = options;
  const holderOfKey = new Map<string, KeyHolder>();
  const listeners = new Set<TenantListener>();
  const table = readTable<TenantRecord>(kafka, {
    topic: topics.tenants,
    name: 'tenants',
    decode: decodeRecord,
    versionOf: (record, message) => (record === null ? versionOfDeletion(message) : versionOf(record)),
    onChange,
    registry,
  });
  const producer = createProducer(kafka, { registry, deliveryTimeoutMs: putTimeoutMs });

  return {
    get: (tenantId) => table.get(tenantId),
    byApiKeyHash: (sha256Hex) => holderOfKey.get(sha256Hex),
    async put(record, audit) {
      const violations = recordViolationText(record);
      if (violations !== '') throw new TollgateError('TENANT_RECORD_INVALID', violations);
      const stored = { ...record, version: nextVersion(record.tenant_id) };
      const value = JSON.stringify(stored);
      const [place] = await producer.send(topics.tenants, [
        { key: stored.tenant_id, value, headers: auditHeaders(audit) },
      ]);
      if (place !== undefined)
        table.applyOwn(stored.tenant_id, stored, { version: stored.version, ...place });
      return stored;
    },
    remove,
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

  function nextVersion(tenantId: string): number {
    return versionAfter(table.orderOf(tenantId)?.version ?? 0, clock.now());
  }

  /**
   * Writes a tombstone to every partition. An older record of the key may be in another partition, if partitions were
   * added after it was written.
   */
  async function remove(tenantId: string, audit?: AuditEntry): Promise<void> {
    const version = nextVersion(tenantId);
    const headers = { [versionHeader]: String(version), ...auditHeaders(audit) };
    const partitions = await readTopicEnds(kafka, topics.tenants);
    const records = partitions.map(({ partition }) => ({ key: tenantId, value: null, headers, partition }));
    const [place] = await producer.send(topics.tenants, records);
    if (place !== undefined) table.applyOwn(tenantId, null, { version, ...place });
  }

  function onChange(tenantId: string, record: TenantRecord | null, before: TenantRecord | null): void {
    if (before !== null) {
      for (const { sha256 } of apiKeysOf(before)) {
        if (holderOfKey.get(sha256)?.record.tenant_id === tenantId) holderOfKey.delete(sha256);
      }
    }
    if (record !== null) {
      for (const key of apiKeysOf(record)) {
        holderOfKey.set(key.sha256, { record, key, expiresAtMs: keyEndMs(key) });
      }
    }
    for (const listener of listeners) listener(tenantId, record);
  }
}

function auditHeaders(audit: AuditEntry | undefined): Readonly<Record<string, string>> {
  return audit === undefined ? {} : { [auditHeader]: JSON.stringify(audit) };
}

function decodeRecord(value: Buffer, key: string): TenantRecord | undefined {
  const read = readTenantRecord({ key, value, headers: {}, timestampMs: null }, recordViolationText);
  return 'record' in read && read.record !== null ? read.record : undefined;
}
