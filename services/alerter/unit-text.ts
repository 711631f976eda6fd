import type { AlertEvent } from '../../shared/domain/topics/alert.ts';

/** What the amounts of an alert count: the currency of money, the name of another quantity, or units of requests. */
export function unitText({ currency, quantity }: Pick<AlertEvent, 'currency' | 'quantity'>): string {
  return currency ?? quantity ?? 'units';
}
