import type { StoredIdentity } from '../../../shared/clickhouse/queries/event-identity.ts';
import type { UsageFields } from '../../../shared/domain/events/read-event.ts';
import type { NativeColumn } from '../../../shared/clickhouse/native.ts';

/** One row of `stored_events`. */
export interface StoredEvent extends StoredIdentity, UsageFields {
  readonly timeMs: number;
  readonly tenantId: string;
  /** 0 for the original event; for a correction its Kafka offset plus one. */
  readonly revision: number;
  /** The newest revision that changed units or cost, or changed whether the event counts. */
  readonly usageRevision: number;
  readonly voided: boolean;
  readonly type: string;
  /** The source of the event; empty if the source is `tollgate/<node>`. */
  readonly source: string;
  /** Run id of the spool that assigned the sequence number; empty if the event came from no gateway. */
  readonly spool: string;
  readonly partition: number;
  readonly offset: number;
  /** Set by a correction that set the model: the event was in the group of events without a model before. */
  readonly isRegrouped?: true;
}

/** Returns the columns of `stored_events`, with the value of each column in a row. */
export function storedEventColumns(ingestedAtMs: number): readonly NativeColumn<StoredEvent>[] {
  const time = "DateTime64(3, 'UTC')";
  const label = 'LowCardinality(String)';
  return [
    { name: 'time', type: time, of: ({ timeMs }) => timeMs },
    { name: 'tenant_id', type: label, of: ({ tenantId }) => tenantId },
    { name: 'id_skew_ms', type: 'Int32', of: ({ idSkewMs }) => idSkewMs },
    { name: 'id_a', type: 'UInt16', of: ({ idA }) => idA },
    { name: 'id_b', type: 'UInt64', of: ({ idB }) => BigInt(idB) },
    { name: 'external_id', type: 'String', of: ({ externalId }) => externalId },
    { name: 'revision', type: 'UInt64', of: ({ revision }) => revision },
    { name: 'usage_revision', type: 'UInt64', of: ({ usageRevision }) => usageRevision },
    { name: 'voided', type: 'Bool', of: ({ voided }) => voided },
    { name: 'type', type: label, of: ({ type }) => type },
    { name: 'source', type: label, of: ({ source }) => source },
    { name: 'user_id', type: label, of: ({ userId }) => userId },
    { name: 'plan', type: label, of: ({ plan }) => plan },
    { name: 'method', type: label, of: ({ method }) => method },
    { name: 'route', type: label, of: ({ route }) => route },
    { name: 'path', type: label, of: ({ path }) => path },
    { name: 'status', type: 'UInt16', of: ({ status }) => status },
    { name: 'decision', type: label, of: ({ decision }) => decision },
    { name: 'limited_by', type: 'Array(LowCardinality(String))', of: ({ limitedBy }) => limitedBy },
    { name: 'units', type: 'Float64', of: ({ units }) => units },
    { name: 'cost_exact', type: 'Decimal(38, 12)', of: ({ cost }) => cost },
    { name: 'latency_ms', type: 'Float32', of: ({ latencyMs }) => roundedLatency(latencyMs) },
    { name: 'check_us', type: 'UInt32', of: ({ checkMicros }) => checkMicros },
    { name: 'node', type: label, of: ({ node }) => node },
    { name: 'sequence', type: 'UInt64', of: ({ sequence }) => sequence },
    { name: 'spool', type: label, of: ({ spool }) => spool },
    { name: 'degraded', type: 'Bool', of: ({ degraded }) => degraded },
    { name: 'client_ip', type: label, of: ({ clientIp }) => clientIp },
    { name: 'service', type: label, of: ({ service }) => service },
    { name: 'entrypoint', type: label, of: ({ entrypoint }) => entrypoint },
    { name: 'api_key', type: label, of: ({ apiKey }) => apiKey },
    { name: 'policy_revision', type: label, of: ({ policyRevision }) => policyRevision },
    { name: 'decided_after_us', type: 'Int32', of: ({ decidedAfterMicros }) => decidedAfterMicros },
    { name: 'properties', type: 'Map(LowCardinality(String), String)', of: ({ properties }) => properties },
    { name: 'ingested_at', type: time, of: () => ingestedAtMs },
    { name: 'kafka_partition', type: 'UInt16', of: ({ partition }) => partition },
    { name: 'kafka_offset', type: 'UInt64', of: ({ offset }) => offset },
  ];
}

/**
 * Returns the columns with the usage of calls. A block of ordinary events is inserted without these columns: ClickHouse
 * then stores their default values.
 */
export function usageColumns(): readonly NativeColumn<StoredEvent>[] {
  const label = 'LowCardinality(String)';
  const amounts = 'Map(String, Decimal(38, 12))';
  return [
    { name: 'model', type: label, of: ({ usage }) => usage.model },
    { name: 'quantities', type: amounts, of: ({ usage }) => usage.quantities },
    { name: 'measures', type: 'Map(String, UInt64)', of: ({ usage }) => usage.measures },
    { name: 'usage_source', type: label, of: ({ usage }) => usage.usageSource },
    { name: 'reservation', type: label, of: ({ usage }) => usage.reservation },
    { name: 'reservation_id', type: 'String', of: ({ usage }) => usage.reservationId },
    { name: 'reserved', type: amounts, of: ({ usage }) => usage.reserved },
    { name: 'reserved_until', type: "DateTime('UTC')", of: ({ usage }) => endSecond(usage.reservedUntilMs) },
    { name: 'settlement', type: 'UInt16', of: ({ usage }) => usage.settlement },
  ];
}

const latestSecond = 2 ** 32 - 1;

/** Rounds up to a full second, so that a reservation is not reported as expired before its end. */
function endSecond(ms: number): number {
  return Math.min(latestSecond, Math.max(0, Math.ceil(ms / 1000)));
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/**
 * Rounds to 9 significant binary digits, an error of at most 0.2 %. Further digits are noise that does not compress.
 */
function roundedLatency(ms: number): number {
  float[0] = ms;
  bits[0] = ((bits[0] ?? 0) + 0x4000) & 0xffff8000;
  return float[0];
}
