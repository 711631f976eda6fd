// Goal: the loss audit accounts for every correction, however many there are, and still finds a lost one.
// Method: a real aggregator applies 50,000 numbered outcomes of requests; one of them is not sent, and one record is skipped.
import { expect, test } from 'vitest';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { policyOf } from '../../unit/policy/text.ts';
import { meterEvent, requestEvent } from '../aggregator/events.ts';
import { numbered, spoolRun, useAuditFixture } from './audit-fixture.ts';

const policy = policyOf({
  plans:
    '{ free: { limits: [] }, pro: { limits: [{ name: day, per: tenant, limit: 100000, window: 1d, type: quota }] } }',
});
const spool = spoolRun('aa');
const fixture = useAuditFixture(policy);
const { audit, drained, send, skipAll, spend } = fixture;
const drainedTimeoutMs = 120_000;

function outcome(request: UsageCloudEvent, spoolsequence: number): UsageCloudEvent {
  const data = {
    event_id: request.id,
    event_source: request.source,
    event_time: request.time,
    status: 500,
    latency_ms: 9,
  };
  const event = meterEvent(request.subject, { type: amendEventType });
  return { ...event, source: request.source, data, spool, spoolsequence };
}

test('50,000 corrections are no loss, and a lost sequence number or record among them is found', async () => {
  const [requestCount, count] = [1_000, 50_000];
  const requests = Array.from({ length: requestCount }, (_, index) => requestEvent(`tenant-${index % 3}`));
  await send(requests.map((event, index) => numbered(event, index + 1)));
  const outcomes = Array.from({ length: count }, (_, index) =>
    outcome(requests[index % requestCount]!, requestCount + 1 + index),
  );
  for (let from = 0; from < count; from += 2_000) await send(outcomes.slice(from, from + 2_000));
  await drained(drainedTimeoutMs);
  expect(await audit()).toMatchObject({
    lost: 0,
    lostRecords: [],
    missingSequences: {},
    cut: false,
    disagreements: [],
  });

  const next = requestCount + count + 1;
  const later = Array.from({ length: 10 }, (_, index) => outcome(requests[index]!, next + index));
  await send(later.filter(({ spoolsequence }) => spoolsequence !== next + 5));
  await drained(drainedTimeoutMs);
  await fixture.aggregator.stop();
  const skipped = requestEvent('tenant-0');
  await send([outcome(skipped, next + 10)]);
  await skipAll();
  const report = await audit();
  expect(report.lostRecords).toMatchObject([{ tenant_id: 'tenant-0' }]);
  expect(report.missingSequences).toEqual({ [`node-1 ${spool}`]: [{ from: next + 5, to: next + 5 }] });
  expect(report).toMatchObject({ lost: 2, cut: false });
}, 180_000);

test('a tenant whose requests have outcomes is still compared with Redis', async () => {
  const requests = Array.from({ length: 5 }, () => requestEvent('tenant-0'));
  await spend('tenant-0', 7);
  await send([
    ...requests.map((event, index) => numbered(event, index + 1)),
    ...requests.map((event, index) => outcome(event, index + 6)),
  ]);
  await drained(drainedTimeoutMs);
  const difference = { tenant_id: 'tenant-0', quota: 'day', route: null, redis: 7, clickhouse: 5 };
  expect(await audit()).toMatchObject({ lost: 0, counters: [difference] });
});
