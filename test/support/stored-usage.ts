import type { ClickHouse } from '../../shared/clickhouse/client.ts';

/** An event of a test. Fields that are left out have defaults. Times are Unix milliseconds. */
export interface StoredEvent {
  readonly timeMs: number;
  readonly tenant: string;
  readonly plan?: string;
  /** User of the request; empty for a request without a user. */
  readonly user?: string;
  readonly ip?: string;
  readonly route?: string;
  readonly type?: string;
  readonly status?: number;
  readonly decision?: 'allowed' | 'limited' | 'bypassed' | 'shadow_limited';
  readonly limitedBy?: readonly string[];
  readonly units?: number;
  /** A number, or the text of a decimal with more digits than a number has. */
  readonly cost?: number | string;
  readonly latencyMs?: number;
  readonly model?: string;
  /** Id of the API key. */
  readonly apiKey?: string;
  readonly policyRevision?: string;
  /** Amounts by quantity, in its own unit. */
  readonly quantities?: Readonly<Record<string, number | string>>;
  readonly reservation?: 'open' | 'settled' | 'cancelled';
  readonly reserved?: Readonly<Record<string, number | string>>;
  /** End of the reservation, Unix milliseconds. */
  readonly reservedUntilMs?: number;
  /** Data of an event of an API server. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Decided by a node without Redis. */
  readonly degraded?: boolean;
}

/**
 * Stores events and their totals, for tests of code that reads them. The totals are computed directly in SQL; the tests
 * of the aggregator show that it computes the same totals.
 */
export async function storeUsage(clickhouse: ClickHouse, events: readonly StoredEvent[]): Promise<void> {
  await clickhouse.insert('stored_events', events.map(rowOf));
  for (const [table, column, bucket] of [
    ['stored_minutes', 'minute', 'toStartOfMinute(time)'],
    ['stored_hours', 'hour', 'toStartOfHour(time)'],
    ['stored_days', 'day', 'toDate(time)'],
  ] as const) {
    await clickhouse.command(`
      INSERT INTO ${table} (${column}, tenant_id, plan, route, type, decision, model, requests, errors, units,
        cost_exact, quantities, reserved, reserved_units, latency, version)
      SELECT toDateTime(${bucket}, 'UTC'), tenant_id, plan, route, type, decision, model, count(), countIf(status >= 500),
             sum(units), sum(cost_exact), sumMapIf(quantities, decision != 'limited'),
             sumMapIf(quantities, decision != 'limited' AND reservation = 'open'), sumIf(units, reservation = 'open'), quantilesTDigestState(0.5, 0.95, 0.99)(latency_ms), count()
      FROM stored_events FINAL GROUP BY ALL`);
  }
}

function rowOf(event: StoredEvent, index: number): Record<string, unknown> {
  const decision = event.decision ?? 'allowed';
  const route = event.route ?? 'POST /agent/chat';
  return {
    time: new Date(event.timeMs).toISOString(),
    tenant_id: event.tenant,
    id_a: index % 4096,
    id_b: index,
    type: event.type ?? 'tollgate.request.v1',
    source: 'tollgate/test',
    user_id: event.user ?? 'ada',
    plan: event.plan ?? 'free',
    method: route.split(' ')[0] ?? 'GET',
    route,
    path: route.split(' ')[1] ?? '/',
    status: event.status ?? (decision === 'limited' ? 429 : 200),
    decision,
    limited_by: event.limitedBy ?? [],
    units: event.units ?? 1,
    degraded: event.degraded ?? false,
    cost_exact: String(event.cost ?? 0),
    latency_ms: event.latencyMs ?? 5,
    model: event.model ?? '',
    api_key: event.apiKey ?? '',
    policy_revision: event.policyRevision ?? '',
    quantities: event.quantities ?? {},
    properties: event.properties ?? {},
    reservation: event.reservation ?? '',
    reserved: event.reserved ?? {},
    reserved_until: Math.ceil((event.reservedUntilMs ?? 0) / 1000),
    check_us: 120,
    node: 'test',
    sequence: index,
    client_ip: event.ip ?? '192.0.2.1',
    entrypoint: 'proxy',
    ingested_at: new Date(event.timeMs + 400).toISOString(),
    kafka_offset: index,
  };
}
