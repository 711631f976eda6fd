import { rate, series } from './panels.ts';
import type { Panels } from './panels.ts';
import { promql } from './queries.ts';

/** Whether the clocks agree by which decisions and events are dated. `node` selects gateways. */
export function clockPanels(node: string): Panels {
  return [
    series({
      title: 'Clock difference',
      description:
        'How far each clock is from the time that most of them agree on, as each process sees it. A clock that is more than 5 seconds off is not used.',
      queries: [
        promql(
          'max by (instance, clock) (abs(tollgate_clock_difference_seconds))',
          '{{clock}}, seen by {{instance}}',
        ),
      ],
      unit: 's',
      warnAt: 1,
      badAt: 5,
    }),
    series({
      title: 'Stamps corrected in Redis',
      description:
        'Windows whose stamps were ahead of the clock of Redis, because that clock was wrong for a while. 0 in health.',
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
