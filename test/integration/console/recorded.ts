import { v7 as uuidv7 } from 'uuid';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { deriveTotals } from '../../../shared/clickhouse/derive.ts';
import { requestEventType } from '../../../shared/domain/usage-event.ts';

export interface RecordedRequest {
  readonly tenantId: string;
  readonly atMs: number;
  readonly plan?: string;
  readonly userId?: string;
  readonly route?: string;
  readonly path?: string;
  readonly decision?: 'allowed' | 'limited' | 'shadow_limited' | 'bypassed';
  readonly limitedBy?: readonly string[];
  readonly cost?: number;
}

/** Puts requests into ClickHouse as the pipeline would have, totals included. Answers their decision ids. */
export async function recordRequests(
  clickhouse: ClickHouse,
  requests: readonly RecordedRequest[],
): Promise<readonly string[]> {
  const rows = requests.map((request, index) => {
    const { tenantId, atMs, plan = 'free', route = '*', path = '/', decision = 'allowed' } = request;
    return {
      time: atMs,
      tenant_id: tenantId,
      id_a: index % 4096,
      id_b: index + 1,
      foreign_id: uuidv7({ msecs: atMs }),
      type: requestEventType,
      user_id: request.userId ?? '',
      plan,
      method: 'POST',
      route,
      path,
      status: decision === 'limited' ? 429 : 200,
      decision,
      limited_by: request.limitedBy ?? [],
      units: 1,
      cost: request.cost ?? 0,
      latency_ms: 3,
      node: 'n1',
      sequence: index,
      client_ip: '127.0.0.1',
      door: 'proxy',
      ingested_at: atMs,
    };
  });
  await clickhouse.insert('stored_events', rows);
  await deriveTotals(clickhouse, {
    tenantIds: new Set(requests.map(({ tenantId }) => tenantId)),
    minutes: new Set(requests.map(({ atMs }) => Math.floor(atMs / 60_000) * 60_000)),
  });
  return rows.map((row) => row.foreign_id);
}
