import type { Consumption } from '../../../domain/usage/consumption.ts';
import { amountsText, parseAmounts } from '../decimals.ts';
import type { AmountsAsText } from '../decimals.ts';

/** Columns from which a consumption is summed, in every level of `usageRows`. */
export const consumptionColumns = 'units, quantities, reserved_units, reserved';

/** SQL that sums the consumption of rows with the alias `u`; `condition` selects rows. */
export function consumptionSums(condition = '1'): string {
  return `sumIf(u.units, ${condition}) AS units, sumIf(u.reserved_units, ${condition}) AS reserved_units,
    ${amountsText(`sumMapIf(u.quantities, ${condition})`)} AS quantities,
    ${amountsText(`sumMapIf(u.reserved, ${condition})`)} AS reserved`;
}

/** A row with a consumption in ClickHouse's reply. */
export type ConsumptionAsText<Row extends Consumption> = Omit<Row, 'quantities' | 'reserved'> & {
  readonly quantities: AmountsAsText;
  readonly reserved: AmountsAsText;
};

export function withConsumption<Row extends Consumption>(row: ConsumptionAsText<Row>): Row {
  const { quantities, reserved } = row;
  return { ...row, quantities: parseAmounts(quantities), reserved: parseAmounts(reserved) } as unknown as Row;
}
