import { rate, series } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql } from '../queries.ts';

/**
 * Panels that show whether the clocks agree from which decisions and events get their times. The variable `node`
 * selects gateways.
 */
export function clockPanels(node: string): Panels {
  return [
    series({
      title: 'Clock difference',
      description:
        'Difference of each clock from the time on which most clocks agree, measured by each process. A clock that is more than 5 seconds off is not used.',
      queries: [
        promql(
          'max by (instance, clock) (abs(tollgate_clock_difference_seconds))',
          '{{clock}}, measured by {{instance}}',
        ),
      ],
      unit: 's',
      warnAt: 1,
      badAt: 5,
    }),
    series({
      title: 'Timestamps corrected in Redis',
      description:
        'Windows with timestamps ahead of the clock of Redis, because that clock was wrong for a while. Should be 0.',
      queries: [
        promql(
          `sum by (instance) (increase(tollgate_redis_stamps_corrected_total{${node}}[${rate}]))`,
          '{{instance}}',
        ),
      ],
      unit: 'short',
      badAt: 1,
    }),
  ];
}
