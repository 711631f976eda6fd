import type { JournalEntry } from '../../../dev/sample/ai/journal.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually } from '../../support/servers.ts';

/** What Tollgate stored about one call. */
export interface ChargedCall {
  readonly event_id: string;
  readonly tenant_id: string;
  readonly model: string;
  readonly status: number;
  readonly decision: string;
  readonly tokens: number;
  /** Decimal text. */
  readonly usd: string;
  readonly cost: string;
  readonly usage_source: string;
  readonly reservation: string;
}

const query = `SELECT event_id, tenant_id, model, status, decision, toUInt32(quantities['tokens']) AS tokens,
    toString(quantities['usd']) AS usd, toString(cost) AS cost, usage_source, reservation
  FROM usage_events WHERE tenant_id = {tenant:String} ORDER BY time`;

/** The calls of a tenant, once `count` of them are stored and none of them is in progress. */
export function settledCalls(run: PolicyRun, tenant: string, count: number): Promise<ChargedCall[]> {
  return eventually(async () => {
    const calls = await run.clickhouse.query<ChargedCall>(query, { tenant });
    const open = calls.filter(({ reservation }) => reservation === 'open');
    if (calls.length < count || open.length > 0)
      throw new Error(`${calls.length} of ${count} calls are stored, ${open.length} of them are open`);
    return calls;
  });
}

/** Prices of `policies/ai-budgets.yaml` for gpt-4o-mini, in 10⁻¹² USD for one token. */
const prices = { input: 150_000n, cached: 75_000n, output: 600_000n };

/** The cost of a call of gpt-4o-mini in 10⁻¹² USD, computed from the journal. */
export function costOf({ inputTokens, cachedTokens, outputTokens }: Tokens): bigint {
  return (
    BigInt(inputTokens - cachedTokens) * prices.input +
    BigInt(cachedTokens) * prices.cached +
    BigInt(outputTokens) * prices.output
  );
}

type Tokens = Pick<JournalEntry, 'inputTokens' | 'cachedTokens' | 'outputTokens'>;

/** A decimal text in 10⁻¹². */
export function picos(text: string): bigint {
  const [whole = '0', decimals = ''] = text.split('.');
  return BigInt(whole) * 10n ** 12n + BigInt(decimals.padEnd(12, '0'));
}

/** Money of a quantity with six decimals: rounded up. */
export function roundedUp(cost: bigint): bigint {
  return ((cost + 999_999n) / 1_000_000n) * 1_000_000n;
}
