// Goal: the page of a decision explains a refusal without contradictions, and with few queries.
import { expect, test } from 'vitest';
import { html } from '../../../services/console/components/html.ts';
import { countersPart } from '../../../services/console/decisions/decision-counters.ts';
import type {
  DecisionSources,
  DecisionTenant,
} from '../../../services/console/decisions/decision-counters.ts';
import { decisionView } from '../../../services/console/decisions/decision-view.ts';
import type { UsageEventRow } from '../../../shared/clickhouse/queries/usage.ts';
import { policyOf } from '../policy/text.ts';

const policy = policyOf({
  plans: `
  free:
    limits:
      - { name: minute, per: tenant, limit: 5, window: 1m }
      - { name: hour, per: tenant, limit: 50, window: 1h }
      - { name: at-once, per: tenant, limit: 3, type: concurrent }`,
  platform: '{ limits: [{ name: all, per: global, type: concurrent, limit: 100 }], shares: { address: 1 } }',
});

/** A request that these limits refused. */
function refusedBy(limitedBy: readonly string[]): UsageEventRow {
  return {
    ...{ time: '2026-03-10T12:00:00Z', route: '*', plan: 'free', limited_by: limitedBy, decision: 'limited' },
    ...{ method: 'GET', path: '/', status: 429, units: 1, api_key: '', policy_revision: '', event_id: 'e' },
  } as unknown as UsageEventRow;
}

/** The page of a decision that these limits refused. */
function decisionOf(limitedBy: readonly string[]): string {
  const texts = { counters: html``, back: html`` };
  const tenant = { record: null, zone: 'UTC' };
  return decisionView(refusedBy(limitedBy), { policy: () => policy }, tenant, texts).markup;
}

test('the page of a decision says when the request would have passed, as its advice does', () => {
  const otherEnds = 'It would have passed as soon as one of the running requests had ended.';
  for (const name of ['at-once', 'all-tenant', 'platform']) expect(decisionOf([name])).toContain(otherEnds);
  expect(decisionOf(['minute'])).toContain('It would have passed at the latest 1 min later');
  expect(decisionOf(['cost_too_high'])).toContain('Waiting would not have changed the answer.');
  for (const names of [['minute', 'at-once'], ['unavailable'], ['removed']])
    expect(decisionOf(names)).toContain('The time at which it would have passed is not recorded.');
});

test('the counters of several limits read once since when events are stored', async () => {
  const reads: string[] = [];
  const usage = {
    counterContent: () => (reads.push('counter'), Promise.resolve(null)),
    eventsStoredSince: () => (reads.push('retention'), Promise.resolve(null)),
  };
  const orNull = <Value>(read: Promise<Value>): Promise<Value> => read;
  const sources = { policy: () => policy, reads: { orNull }, clock: { now: () => 0 } };
  const tenant = { tenantId: 'acme', record: null, zone: 'UTC', usage };
  await countersPart(
    refusedBy(['minute', 'hour']),
    sources as unknown as DecisionSources,
    tenant as unknown as DecisionTenant,
  );
  expect(reads.sort()).toEqual(['counter', 'counter', 'retention']);
});
