import { readMoney } from '../../domain/money.ts';
import type { Money } from '../../domain/money.ts';

/** A row as ClickHouse answers it: money as text (`toString(…) AS cost`), since a number of JSON would be rounded. */
export type MoneyAsText<Row extends { readonly cost: Money }> = Omit<Row, 'cost'> & { readonly cost: string };

export function withMoney<Row extends { readonly cost: Money }>(row: MoneyAsText<Row>): Row {
  return { ...row, cost: moneyIn(row.cost) } as unknown as Row;
}

/** Throws for what is no decimal: a failed read never becomes a zero. */
export function moneyIn(text: string): Money {
  const money = readMoney(text);
  if (money === null) throw new TypeError(`ClickHouse answered no decimal for money: ${text}`);
  return money;
}
