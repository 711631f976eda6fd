import type { AlertEvent } from '../../../../shared/domain/topics/alert.ts';

/** Returns an alert in the form in which it is on the topic. */
export function alertOf(tenantId: string, changes: Partial<AlertEvent> = {}): AlertEvent {
  return {
    id: 'c0ffee00-0000-5000-8000-000000000000',
    kind: 'threshold',
    tenant_id: tenantId,
    plan: 'free',
    limit_name: 'day',
    threshold: 0.8,
    period: '2026-03-02T00:00:00.000Z',
    period_ends_at: '2026-03-03T00:00:00.000Z',
    limit: 1000,
    used: 812,
    exhausted_at: null,
    at: '2026-03-02T10:00:00.000Z',
    ...changes,
  };
}
