import { series, table } from '../panels.ts';
import type { Panels } from '../panels.ts';
import { promql, sqlSeries, sqlTable } from '../queries.ts';
import { customers } from '../usage-ranges.ts';

const reserved = 'toFloat64(sum(reserved[${quantity:singlequote}]))';
const used = 'toFloat64(sum(quantities[${quantity:singlequote}]))';

/** Calls with a reservation that a settlement or a cancellation has ended. `at` is the time of the call. */
const ended = `FROM (
  SELECT time AS at, route, reservation, reserved, quantities FROM \${database}.usage_events
  WHERE ${customers} AND time >= $__fromTime AND time < $__toTime + 1 AND reservation IN ('settled', 'cancelled')
)`;

export function reservationPanels(): Panels {
  return [
    series({
      title: 'Reserved and settled ${quantity}',
      description:
        'Amounts that calls reserved before they began, and amounts that they were settled to, by the time of the call. Reserved far above settled: budgets refuse early. Settled above reserved: budgets can be exceeded.',
      queries: [
        sqlSeries(`
SELECT $__timeInterval(at) AS time, ${reserved} AS reserved, ${used} AS settled
${ended} GROUP BY time ORDER BY time`),
      ],
      unit: 'short',
    }).interval('1h'),
    series({
      title: 'Open and expired reservations',
      description:
        'Reservations of calls of the last 25 hours without a settlement. Open ones are calls in progress; expired ones were never settled, and stay charged with their reserved amounts.',
      queries: [
        promql('max(tollgate_reservations_open) - max(tollgate_reservations_expired)', 'open'),
        promql('max(tollgate_reservations_expired)', 'expired'),
        promql('max(tollgate_reservations_expired_recently)', 'expired in the last hour'),
      ],
      unit: 'short',
      warnAt: 1,
    }),
    table(
      {
        title: 'Reserved and settled ${quantity} by route',
        empty: 'No call with a reservation has ended in this time range',
        description:
          'Calls whose reservation was settled or cancelled. Used: settled amount ÷ reserved amount. Exceeded: calls that used more than they had reserved. Cancelled: calls that used nothing, for example because the upstream failed.',
        queries: [
          sqlTable(`
SELECT route, count() AS calls, ${reserved} AS reserved_amount, ${used} AS settled_amount,
       settled_amount / nullIf(reserved_amount, 0) AS share,
       countIf(quantities[\${quantity:singlequote}] > reserved[\${quantity:singlequote}]) AS exceeded,
       countIf(reservation = 'cancelled') AS cancelled
${ended} GROUP BY route ORDER BY reserved_amount DESC, route LIMIT 50`),
        ],
        width: 24,
      },
      {
        route: { heading: 'Route', width: 220 },
        calls: { heading: 'Calls', unit: 'short' },
        reserved_amount: { heading: 'Reserved', unit: 'short' },
        settled_amount: { heading: 'Settled', unit: 'short' },
        share: { heading: 'Used', unit: 'percentunit', decimals: 0, warnAt: 1 },
        exceeded: { heading: 'Exceeded', unit: 'short' },
        cancelled: { heading: 'Cancelled', unit: 'short' },
      },
    ),
    openReservationsTable(),
  ];
}

function openReservationsTable(): Panels[number] {
  return table(
    {
      title: 'Reservations without a settlement',
      empty: 'No call of the last 25 hours is without its settlement',
      description:
        'Calls of the last 25 hours whose reservation is open, whatever range is shown; those that ended first are first. An expired one stays charged until a late settlement corrects it.',
      queries: [
        sqlTable(`
SELECT reserved_until AS ends, if(reserved_until < now(), 'expired', 'open') AS state, tenant_id AS tenant, user_id, route, model, time AS called_at,
       arrayStringConcat(arrayMap((name, amount) -> concat(name, ' ', toString(amount)), mapKeys(reserved), mapValues(reserved)), ', ') AS amounts,
       reservation_id
FROM \${database}.usage_events
WHERE ${customers} AND time >= now() - INTERVAL 25 HOUR AND reservation = 'open'
ORDER BY ends, reservation_id LIMIT 100`),
      ],
      width: 24,
    },
    {
      ends: { heading: 'Ends', unit: 'dateTimeAsIso', width: 160 },
      state: { heading: 'State' },
      tenant: { heading: 'Tenant', width: 110 },
      user_id: { heading: 'User', width: 110 },
      route: { heading: 'Route', width: 190 },
      model: { heading: 'Model', width: 110 },
      called_at: { heading: 'Called at', unit: 'dateTimeAsIso', width: 160 },
      amounts: { heading: 'Reserved', width: 180 },
      reservation_id: { heading: 'Reservation', width: 190 },
    },
  );
}
