import { series } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql } from '../queries.ts';

/** Panels on the objectives of docs/slo.md. They show the recorded ratios that the alerts read. */
export function objectivePanels(): Panels {
  return [
    series({
      title: 'Error budget: speed of its use',
      description:
        'Share of responses that failed by our fault ÷ 0.1 %, over an hour and over six hours. At 1 the budget of 30 days lasts 30 days. The alerts fire above 14.4 (one hour) and above 6 (six hours).',
      queries: [
        promql('tollgate:own_errors:ratio_rate1h / 0.001', 'over 1 hour'),
        promql('tollgate:own_errors:ratio_rate6h / 0.001', 'over 6 hours'),
      ],
      unit: 'short',
      ...{ warnAt: 6, badAt: 14.4, width: 8 },
    }),
    series({
      title: 'Latency budget: speed of its use',
      description:
        'Share of checks that took longer than 1 ms ÷ 1 %, over an hour and over six hours. TollgateCheckSlow fires above 1 over five minutes, for the checks that Redis decided.',
      queries: [
        promql('tollgate:slow_checks:ratio_rate1h / 0.01', 'over 1 hour'),
        promql('tollgate:slow_checks:ratio_rate6h / 0.01', 'over 6 hours'),
      ],
      unit: 'short',
      ...{ warnAt: 1, badAt: 6, width: 8, runbook: 'check-slow' },
    }),
    series({
      title: 'Late events',
      description:
        'Share of events that were in no total 10 seconds after their time, over an hour. The objective is 1 %.',
      queries: [promql('tollgate:late_events:ratio_rate1h', 'over 1 hour')],
      unit: 'percentunit',
      ...{ badAt: 0.01, width: 8, runbook: 'freshness' },
    }),
  ];
}
