import type { RecordedEvent } from '../../../shared/clickhouse/queries/recorded/recorded-events.ts';

const timeMs = Date.UTC(2026, 2, 10, 12);

/** A request of the tenant `acme` that passed; `fields` replaces fields. */
export function recordedEvent(fields: Partial<RecordedEvent> = {}): RecordedEvent {
  return {
    ...{ kind: 'request', timeMs, decidedAtMs: timeMs, isTimeExact: true },
    ...{ tenantId: 'acme', userId: null, ip: '203.0.113.7', plan: 'free', apiKey: '', service: '' },
    ...{ method: 'GET', path: '/a', route: '*', status: 200, entrypoint: 'proxy', model: '' },
    ...{ decision: 'allowed', limitedBy: [], units: 1, cost: 0n, latencyMs: 5, checkMicros: 500 },
    ...{ degraded: false, policyRevision: '', reserved: null, quantities: null },
    ...fields,
  };
}
