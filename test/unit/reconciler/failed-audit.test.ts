import { Registry } from 'prom-client';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startLossAudit } from '../../../services/reconciler/loss-audit.ts';
import type { ProcessReport } from '../../../shared/domain/operators/process-report.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';
import { eventually } from '../../support/servers.ts';

const logger = pino({ level: 'silent' });

test('a store that does not answer is never a clean audit', async () => {
  const registry = new Registry();
  const reported: ProcessReport[] = [];
  const loop = startLossAudit({
    audit: () => Promise.reject(new Error('away')),
    intervalMs: 10,
    reports: { write: (report) => Promise.resolve(void reported.push(report)) },
    clock: systemClock,
    registry,
    logger,
  });
  const failedThrice = /^tollgate_audit_runs_total\{outcome="failed"\} ([3-9]|\d{2,})$/m;
  await eventually(async () => failedThrice.test(await registry.metrics()));
  await loop.close();
  const text = await registry.metrics();
  expect(text).toContain('tollgate_audit_runs_total{outcome="clean"} 0');
  expect(text).toContain('tollgate_audit_last_success_timestamp_seconds 0');
  expect(new Set(reported.map(({ kind }) => kind))).toEqual(new Set(['loss-audit']));
  expect(reported).toContainEqual(
    expect.objectContaining({ is_failed: true, units_ahead: null, interval_ms: 10 }),
  );
});
