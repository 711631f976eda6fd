import type { ExactAmounts } from '../../domain/events/call-usage.ts';
import { readMoney } from '../../domain/money.ts';
import type { Money } from '../../domain/money.ts';

/** A row in ClickHouse's reply. Money is text (`toString(…) AS cost`), because a JSON number would be rounded. */
export type MoneyAsText<Row extends { readonly cost: Money }> = Omit<Row, 'cost'> & { readonly cost: string };

export function withMoney<Row extends { readonly cost: Money }>(row: MoneyAsText<Row>): Row {
  return { ...row, cost: parseMoney(row.cost) } as unknown as Row;
}

/** Parses money. Throws if the text is not a decimal, so that a failed read is never treated as zero. */
export function parseMoney(text: string): Money {
  const money = readMoney(text);
  if (money === null) throw new TypeError(`ClickHouse returned no decimal for money: ${text}`);
  return money;
}

/** Amounts by quantity in ClickHouse's reply, as texts for the same reason. */
export type AmountsAsText = Readonly<Record<string, string>>;

/** Returns SQL for a map of decimals as a map of texts. */
export function amountsText(map: string): string {
  return `mapApply((name, amount) -> (toString(name), toString(amount)), ${map})`;
}

export function parseAmounts(amounts: AmountsAsText): ExactAmounts {
  return Object.fromEntries(Object.entries(amounts).map(([name, text]) => [name, parseMoney(text)]));
}
