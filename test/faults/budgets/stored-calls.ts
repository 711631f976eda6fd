import type { JournalEntry } from '../../../dev/sample/ai/journal.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { moneyText, readMoney } from '../../../shared/domain/money.ts';
import { prices } from './installation.ts';

/** The stored event of an admitted call. Decimals are texts, so that no digit is lost. */
export interface StoredCall {
  readonly id: string;
  readonly node: string;
  readonly reservation: 'open' | 'settled' | 'cancelled';
  /** The reservation is open, and its end has passed. */
  readonly expired: boolean;
  readonly degraded: boolean;
  readonly cost: string;
  readonly usd: string;
  readonly tokens: string;
  readonly reservedUsd: string;
}

export function storedCalls(clickhouse: ClickHouse, tenant: string): Promise<StoredCall[]> {
  return clickhouse.query<StoredCall>(
    `SELECT event_id AS id, node, reservation, reservation = 'open' AND reserved_until < now() AS expired, degraded,
            toString(cost) AS cost, toString(quantities['usd']) AS usd, toString(quantities['tokens']) AS tokens,
            toString(reserved['usd']) AS reservedUsd
     FROM usage_events WHERE tenant_id = {tenant:String} AND decision = 'allowed' AND model != ''`,
    { tenant },
  );
}

/** Cost, usd and tokens of a tenant in the totals of one level. */
export async function totalsOf(
  clickhouse: ClickHouse,
  view: 'usage_by_minute' | 'usage_by_hour' | 'usage_by_day',
  tenant: string,
): Promise<string> {
  const [row] = await clickhouse.query<{ cost: string; usd: string; tokens: string }>(
    `SELECT toString(sum(t.cost)) AS cost, toString(sumMap(t.quantities)['usd']) AS usd,
            toString(sumMap(t.quantities)['tokens']) AS tokens
     FROM ${view} AS t WHERE tenant_id = {tenant:String} AND decision = 'allowed'`,
    { tenant },
  );
  return `${plain(row?.cost ?? '')} ${plain(row?.usd ?? '')} ${plain(row?.tokens ?? '')}`;
}

/** What a call used, by the journal of the sample API: exact cost in 10⁻¹² usd, usd rounded up to a millionth, tokens. */
export interface ActualUsage {
  readonly cost: bigint;
  readonly usdMillionths: bigint;
  readonly tokens: number;
}

export function usageOfEntry({ inputTokens, cachedTokens, outputTokens }: JournalEntry): ActualUsage {
  const cost =
    BigInt(inputTokens - cachedTokens) * prices.input +
    BigInt(cachedTokens) * prices.cached +
    BigInt(outputTokens) * prices.output;
  return {
    cost,
    usdMillionths: (cost + 999_999n) / 1_000_000n,
    tokens: inputTokens + outputTokens,
  };
}

/** Describes each call whose stored cost, usd or tokens differ from the journal's. */
export function differences(
  journal: ReadonlyMap<string, JournalEntry>,
  stored: readonly StoredCall[],
): { readonly id: string; readonly text: string }[] {
  const byId = new Map(stored.map((call) => [call.id, call]));
  const found: { readonly id: string; readonly text: string }[] = [];
  for (const [id, entry] of journal) {
    const call = byId.get(id);
    const expected = usageText(usageOfEntry(entry));
    const actual = call === undefined ? 'no event' : figuresOf(call);
    if (actual !== expected) found.push({ id, text: `${id}: stored ${actual}, generated ${expected}` });
  }
  return found;
}

export function usageText({ cost, usdMillionths, tokens }: ActualUsage): string {
  return `${moneyText(cost)} ${moneyText(usdMillionths * 1_000_000n)} ${tokens}`;
}

function figuresOf({ cost, usd, tokens }: StoredCall): string {
  return `${plain(cost)} ${plain(usd)} ${plain(tokens)}`;
}

/** A decimal without trailing zeros. */
function plain(text: string): string {
  return moneyText(readMoney(text) ?? -1n);
}
