import { measured, served } from '../../../shared/clickhouse/queries/predicates.ts';
import { moneyUnit } from '../money.ts';
import { series, stat, table } from '../panels.ts';
import type { Column, Panels } from '../panels.ts';
import { sqlSeries, sqlTable } from '../queries.ts';
import { uids } from '../sources.ts';
import { shownUsage } from '../usage-ranges.ts';

/**
 * The calls of customers in the time range whose usage is measured. Refused calls are excluded. The conditions are in a
 * query of their own, because ClickHouse would otherwise read the aliases of the panel, such as `model`, in them.
 */
const calls = `FROM (SELECT * FROM ${shownUsage} WHERE ${measured} AND ${served}) AS u`;
const spend = 'toFloat64(sum(u.cost))';
/** Amount of the quantity that the dashboard's variable selects. */
const amount = 'toFloat64(sum(u.quantities[${quantity:singlequote}]))';

const definition =
  'Cost of served calls by the prices of their models, exact. Open reservations count with their reserved cost.';
const amountDefinition =
  'Amount of the selected quantity that served calls used. Open reservations count with their reserved amount.';

/** A property of calls by which panels group them. */
interface Dimension {
  readonly name: 'tenant' | 'model' | 'route';
  /** SQL of its value in a row of the totals. */
  readonly sql: string;
  readonly column: Column;
}

const dimensions: readonly Dimension[] = [
  {
    name: 'tenant',
    sql: 'u.tenant_id',
    column: {
      heading: 'Tenant',
      link: {
        title: 'Open the tenant',
        url: `/d/${uids.tenant}?var-tenant=\${__value.text:percentencode}&\${__url_time_range}`,
      },
    },
  },
  { name: 'model', sql: `if(u.model = '', '(none)', u.model)`, column: { heading: 'Model', width: 150 } },
  { name: 'route', sql: 'u.route', column: { heading: 'Route', width: 220 } },
];

const money: Omit<Column, 'heading'> = { unit: moneyUnit, decimals: 2 };

/** Figures of the time range over all tenants. */
export function spendFigures(): Panels {
  return [
    stat({
      title: 'Spend',
      description: definition,
      queries: [sqlTable(`SELECT ${spend} AS spend ${calls}`)],
      unit: moneyUnit,
      ...{ decimals: 2, goodFrom: 0.01, width: 6 },
    }),
    stat({
      title: 'Amount of ${quantity}',
      description: amountDefinition,
      queries: [sqlTable(`SELECT ${amount} AS amount ${calls}`)],
      unit: 'short',
      ...{ goodFrom: 1, width: 6 },
    }),
    stat({
      title: 'Calls',
      description: 'Served calls whose usage is measured, in the time range.',
      queries: [sqlTable(`SELECT sum(u.requests) AS calls ${calls}`)],
      unit: 'short',
      ...{ goodFrom: 1, width: 6 },
    }),
    stat({
      title: 'Tenants with spend',
      description: 'Tenants with at least one served call whose usage is measured.',
      queries: [sqlTable(`SELECT uniqExact(u.tenant_id) AS tenants ${calls}`)],
      unit: 'short',
      ...{ goodFrom: 1, width: 6 },
    }),
  ];
}

export function spendSeries(): Panels {
  return dimensions.map((dimension) =>
    seriesBy(dimension, spend, {
      title: `Spend by ${dimension.name}`,
      description: definition,
      unit: moneyUnit,
    }),
  );
}

export function amountSeries(): Panels {
  return dimensions.map((dimension) =>
    seriesBy(dimension, amount, {
      title: `Amount of \${quantity} by ${dimension.name}`,
      description: amountDefinition,
      unit: 'short',
    }),
  );
}

/** A graph of the ten largest values of a dimension, and of all others together. */
function seriesBy(
  { name, sql }: Dimension,
  value: string,
  panel: { readonly title: string; readonly description: string; readonly unit: string },
): Panels[number] {
  return series({
    ...panel,
    description: `${panel.description} The ten largest by ${name}, and all others together.`,
    queries: [
      sqlSeries(`
WITH top AS (SELECT ${sql} AS name ${calls} GROUP BY name ORDER BY ${value} DESC, name LIMIT 10)
SELECT $__timeInterval(u.time) AS time, if(${sql} IN top, ${sql}, 'all others') AS ${name}, ${value} AS value
${calls} GROUP BY time, ${name} ORDER BY time, ${name}`),
    ],
    ...{ stacked: true, width: 8 },
  })
    .interval('1h')
    .displayName(`\${__field.labels.${name}}`);
}

export function spendTables(): Panels {
  return dimensions.map(({ name, sql, column }) =>
    table(
      {
        title: `Spend and amount of \${quantity} by ${name}`,
        description: `${definition} Amount: of the selected quantity. Share: of the spend of all. The 50 with the highest spend.`,
        width: name === 'route' ? 24 : 12,
        queries: [
          sqlTable(`
SELECT ${sql} AS ${name}, sum(u.requests) AS calls, ${amount} AS amount, ${spend} AS spend,
       spend / nullIf(sum(spend) OVER (), 0) AS share, spend / calls AS spend_per_call
${calls} GROUP BY ${name} ORDER BY spend DESC, ${name} LIMIT 50`),
        ],
      },
      {
        [name]: column,
        calls: { heading: 'Calls', unit: 'short' },
        amount: { heading: 'Amount', unit: 'short' },
        spend: { heading: 'Spend', ...money },
        share: { heading: 'Share', unit: 'percentunit', bar: true },
        spend_per_call: { heading: 'Per call', unit: moneyUnit, decimals: 4 },
      },
    ),
  );
}
