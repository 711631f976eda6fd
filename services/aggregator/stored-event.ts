import type { StoredIdentity } from '../../shared/clickhouse/event-identity.ts';

/** One row of `stored_events`. */
export interface StoredEvent extends StoredIdentity {
  readonly timeMs: number;
  readonly tenantId: string;
  /** 0 as first sent; a correction's Kafka offset plus one. */
  readonly revision: number;
  readonly voided: boolean;
  readonly type: string;
  /** Empty where it is `tollgate/<node>`. */
  readonly source: string;
  readonly userId: string;
  readonly plan: string;
  readonly method: string;
  readonly route: string;
  readonly path: string;
  readonly status: number;
  readonly decision: string;
  readonly limitedBy: readonly string[];
  readonly units: number;
  readonly cost: number;
  readonly latencyMs: number;
  readonly checkMicros: number;
  readonly node: string;
  readonly sequence: number;
  /** The spool's run that gave the number; empty where no gateway did. */
  readonly spool: string;
  readonly degraded: boolean;
  readonly clientIp: string;
  readonly service: string;
  readonly door: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly partition: number;
  readonly offset: number;
}

export const storedEventColumns = [
  'time',
  'tenant_id',
  'id_skew_ms',
  'id_a',
  'id_b',
  'foreign_id',
  'revision',
  'voided',
  'type',
  'source',
  'user_id',
  'plan',
  'method',
  'route',
  'path',
  'status',
  'decision',
  'limited_by',
  'units',
  'cost',
  'latency_ms',
  'check_us',
  'node',
  'sequence',
  'spool',
  'degraded',
  'client_ip',
  'service',
  'door',
  'properties',
  'ingested_at',
  'kafka_partition',
  'kafka_offset',
] as const;

/** The row in the order of `storedEventColumns`. Times are ticks of a millisecond. */
export function toRow(event: StoredEvent, ingestedAtMs: number): unknown[] {
  return [
    event.timeMs,
    event.tenantId,
    event.idSkewMs,
    event.idA,
    event.idB,
    event.foreignId,
    event.revision,
    event.voided,
    event.type,
    event.source,
    event.userId,
    event.plan,
    event.method,
    event.route,
    event.path,
    event.status,
    event.decision,
    event.limitedBy,
    event.units,
    event.cost,
    roundedLatency(event.latencyMs),
    event.checkMicros,
    event.node,
    event.sequence,
    event.spool,
    event.degraded,
    event.clientIp,
    event.service,
    event.door,
    event.properties,
    ingestedAtMs,
    event.partition,
    event.offset,
  ];
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** To 9 significant binary digits, within 0.2 %: the digits after them are noise that does not compress. */
function roundedLatency(ms: number): number {
  float[0] = ms;
  bits[0] = ((bits[0] ?? 0) + 0x4000) & 0xffff8000;
  return float[0];
}
