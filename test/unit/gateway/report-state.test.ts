import { expect, test } from 'vitest';
import { pino } from 'pino';
import { reportState } from '../../../services/gateway/report-state.ts';
import type { ProcessReport } from '../../../shared/domain/operators/process-report.ts';
import type { PolicyWatch } from '../../../shared/policy/load.ts';
import { eventually } from '../../support/servers.ts';

const startMs = Date.parse('2026-11-16T00:00:00Z');

test('a gateway reports its state again and again, also after Redis did not store a report, and signs off at the end', async () => {
  const written: ProcessReport[] = [];
  const removed: unknown[] = [];
  let [calls, nowMs, serversUnavailable] = [0, startMs, 1];
  const reporting = reportState({
    reports: {
      write: (report) => {
        calls += 1;
        if (calls === 2) return Promise.reject(new Error('away'));
        if (calls === 3) serversUnavailable = 0;
        nowMs += 1_000;
        written.push(report);
        return Promise.resolve();
      },
      remove: (report) => Promise.resolve(void removed.push(report)),
      list: () => Promise.resolve(written),
    },
    node: 'gw-1',
    limiter: { state: () => ({ nodes: 1, serversUnavailable }) },
    policy: {
      current: () => ({ revision: 'r1' }) as ReturnType<PolicyWatch['current']>,
      refused: () => ({ text: '', violations: [`p.yaml:1:1: ${'long '.repeat(1_000)}`, 'another'] }),
    },
    spool: { diskFailure: () => 'ENOSPC' },
    clock: { now: () => nowMs },
    logger: pino({ level: 'silent' }),
    intervalMs: 1,
  });
  await eventually(() => written.length >= 3);
  await reporting.close();
  const [first, second, third] = written;
  const without = '2026-11-16T00:00:00.000Z';
  expect(first).toMatchObject({ name: 'gw-1', redis_unavailable: 1, without_redis_at: without });
  expect(first).toMatchObject({ policy: 'r1', spool_failure: 'ENOSPC' });
  expect(String((first as { refused_edit?: string }).refused_edit)).toHaveLength(1_000);
  expect(second).toMatchObject({ redis_unavailable: 1, at: '2026-11-16T00:00:01.000Z' });
  expect(third).toMatchObject({ redis_unavailable: 0, without_redis_at: '2026-11-16T00:00:01.000Z' });
  expect(removed).toEqual([{ kind: 'gateway', name: 'gw-1' }]);
});
