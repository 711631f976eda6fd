import { nounFor } from '../../shared/domain/text/counted.ts';
import type { AlertEvent } from '../../shared/domain/topics/alert.ts';

/** What the amounts of an alert count: the currency of money, the name of another quantity, or units of requests. */
export function unitText({ currency, quantity }: Pick<AlertEvent, 'currency' | 'quantity'>): string {
  return currency ?? quantity ?? 'units';
}

/** The limit of an alert with what it counts: `1 unit`, `50 usd`. */
export function allowedText({
  currency,
  quantity,
  limit,
}: Pick<AlertEvent, 'currency' | 'quantity' | 'limit'>): string {
  return `${limit} ${currency ?? quantity ?? nounFor(limit, 'unit')}`;
}
