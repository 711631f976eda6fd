import { formatTime } from '../../../shared/domain/time/format-time.ts';
import type { DeliveredAlert } from '../../../shared/clickhouse/queries/tenants/delivered-alerts.ts';
import { percent, title } from '../components/format.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';
import { emptyState } from '../components/layout.ts';
import { table } from '../components/table.ts';
import type { Column } from '../components/table.ts';

/** What was sent to which target, and with which result. `rows` is null if they could not be read. */
export function deliveryLog(rows: readonly DeliveredAlert[] | null, zone: string): Html {
  const columns: readonly Column<DeliveredAlert>[] = [
    { title: 'When', kind: 'time', cell: ({ time }) => formatTime(time, zone) },
    { title: 'What', cell: whatOf },
    { title: 'To', cell: ({ channel, target }) => html`${channel} <span class="soft">${target}</span>` },
    { title: 'Result', cell: resultOf },
    { title: 'Attempts', kind: 'number', cell: ({ attempts }) => String(attempts) },
  ];
  return table({
    caption: 'The delivery log',
    columns,
    rows,
    empty: emptyState(
      'None yet',
      'When a limit fills up, what was sent, and whether it arrived, shows here.',
    ),
  });
}

function whatOf({ kind, limit_name: name, threshold }: DeliveredAlert): Html {
  if (kind === 'test') return html`${title(kind)}`;
  return html`${title(kind)}: ${name}${kind === 'rejections' ? null : html` at ${percent(threshold)}`}`;
}

/** The error names the HTTP status of the target's response, if there was one. */
function resultOf({ status, attempts, error }: DeliveredAlert): Html {
  const isWaiting = status === 'pending';
  const tone = error !== '' ? 'bad' : isWaiting ? 'plain' : 'good';
  const next = isWaiting && attempts > 0 ? 'It will be sent again.' : null;
  return html`<span class="badge ${tone}">${status}</span>
    ${error === '' ? null : html`<span class="soft small">${error}</span>`}
    ${next === null ? null : html`<span class="soft small">${next}</span>`}`;
}
