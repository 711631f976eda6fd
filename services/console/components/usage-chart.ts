import type { UsagePoint } from '../../../shared/clickhouse/queries/usage.ts';
import { count } from '../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { GraphSpan } from '../../../shared/tenants/usage-reader.ts';
import { chart } from './chart.ts';
import type { Html } from './html.ts';
import { emptyState, failedState } from './layout.ts';

const texts = { '24h': '24 hours', '30d': '30 days' } as const;

/** Chart of served and refused requests. If `points` is null, reading failed. */
export function usageChart(points: readonly UsagePoint[] | null, span: GraphSpan, zone: string): Html {
  if (points === null) return failedState('The graph');
  if (points.every((point) => point.requests === 0))
    return emptyState(
      `No requests in the last ${texts[span]}`,
      'As soon as a request comes in, it shows here within seconds.',
    );
  return chart({
    caption: `Requests of the last ${texts[span]}`,
    rows: points,
    atMs: ({ at }) => Date.parse(at),
    atText: ({ at }) => formatTime(at, zone),
    stepMs: span === '24h' ? 900_000 : 86_400_000,
    zone,
    series: [
      {
        title: 'Served',
        colour: 'allowed',
        draw: 'stack',
        value: ({ requests, limited }) => requests - limited,
        text: ({ requests, limited }) => count(requests - limited),
      },
      {
        title: 'Refused',
        colour: 'limited',
        draw: 'stack',
        value: ({ limited }) => limited,
        text: ({ limited }) => count(limited),
      },
    ],
  });
}
