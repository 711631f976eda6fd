import { QueryVariableBuilder, VariableRefresh } from '@grafana/grafana-foundation-sdk/dashboard';
import { currencyVariable } from '../money.ts';
import { withSections } from '../panels.ts';
import { clickhouse, dashboard } from '../sources.ts';
import type { ClassicDashboard } from '../sources.ts';
import { customers } from '../usage-ranges.ts';
import { marginTables } from './margin.ts';
import { reservationPanels } from './reservations.ts';
import { amountSeries, spendFigures, spendSeries, spendTables } from './usage-by.ts';

/**
 * Dashboard on calls whose usage is measured, such as calls of AI models: what they cost and use by tenant, model and
 * route, how well reservations estimate them, and what margin is left.
 */
export function spendDashboard(): ClassicDashboard {
  const builder = dashboard(
    'spend',
    'Tollgate / Spend',
    'Calls of models: spend and tokens by tenant, model and route; reserved against settled amounts; open and expired reservations; margin. From ClickHouse, exact to the minute.',
  )
    .time({ from: 'now-30d', to: 'now' })
    .refresh('5m')
    .withVariable(currencyVariable())
    .withVariable(
      new QueryVariableBuilder('quantity')
        .label('Quantity')
        .description('Quantities of the policy that calls of the last 31 days have used, tokens first.')
        .datasource(clickhouse)
        .query(
          `SELECT arrayJoin(mapKeys(quantities)) AS quantity FROM \${database}.usage_by_day WHERE ${customers} AND day >= today() - 31 GROUP BY quantity ORDER BY quantity = 'tokens' DESC, quantity`,
        )
        .refresh(VariableRefresh.OnTimeRangeChanged),
    );
  return withSections(builder, [
    { title: 'Time range', runbook: 'usage-figures', panels: spendFigures() },
    { title: 'Spend', runbook: 'usage-figures', panels: spendSeries() },
    { title: 'Amounts', runbook: 'usage-figures', panels: amountSeries() },
    { title: 'Who and what', runbook: 'usage-figures', panels: spendTables() },
    { title: 'Reservations', runbook: 'reservations-expired', panels: reservationPanels() },
    { title: 'Margin', runbook: 'usage-figures', panels: marginTables() },
  ]);
}
