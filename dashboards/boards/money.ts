import {
  QueryVariableBuilder,
  VariableHide,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { clickhouse } from './sources.ts';

/**
 * Unit of a panel or a column with money. The currency is that of the policy. Grafana replaces variables in titles and
 * headings, but not in units, so the currency is written there.
 */
export const moneyUnit = 'money';

/** The title of a panel, or the heading of a column, with the currency if the unit is money. */
export function withCurrency(text: string, unit: string | undefined): string {
  return unit === moneyUnit ? `${text}, \${currency}` : text;
}

/** Grafana's id of a unit. Money is a number with separators. */
export function unitId(unit: string): string {
  return unit === moneyUnit ? 'locale' : unit;
}

/** The currency of the policy, as the reconciler has recorded it. */
export function currencyVariable(): QueryVariableBuilder {
  return new QueryVariableBuilder('currency')
    .description('Currency of all prices and costs: `currency` of the policy.')
    .hide(VariableHide.HideVariable)
    .datasource(clickhouse)
    .query(
      `SELECT if(any(currency) = '', 'no currency in the policy', any(currency)) AS currency FROM \${database}.plans`,
    )
    .refresh(VariableRefresh.OnDashboardLoad);
}

/** Prices of the plans, and the plan with the highest price, in the policy's currency. */
export const plans = '${database}.plans';
export const highestPlan = `(SELECT argMax(priced.plan, priced.price) FROM ${plans} AS priced WHERE priced.price IS NOT NULL)`;
