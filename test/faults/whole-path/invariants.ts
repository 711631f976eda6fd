import { createClient } from '@clickhouse/client';
import type { Ledger } from './load.ts';

/**
 * Describes each difference between the stored events and the responses that clients received; empty if there is no
 * difference.
 */
export interface Verdict {
  readonly broken: readonly string[];
  readonly stored: number;
}

const levels = ['minute', 'hour', 'day'] as const;

/**
 * For each tenant and decision, the number of received responses, of distinct stored ids and of requests in the totals
 * of every level must be equal. A request without a response may have an event or not, so there may be at most as many
 * additional events as requests without a response.
 */
export async function checkInvariants(
  clickhouseUrl: string,
  database: string,
  ledger: Ledger,
): Promise<Verdict> {
  const client = createClient({ url: clickhouseUrl, database });
  const rows = async <Row>(query: string): Promise<Row[]> => {
    const answer = await client.query({ query, format: 'JSONEachRow' });
    return answer.json<Row>();
  };
  try {
    const broken: string[] = [];
    const events = await rows<{ key: string; id: string }>(
      `SELECT concat(tenant_id, ' ', decision) AS key, event_id AS id FROM usage_events WHERE type = 'tollgate.request.v1'`,
    );
    const stored = new Map<string, Set<string>>();
    for (const { key, id } of events) stored.set(key, (stored.get(key) ?? new Set()).add(id));
    const distinct = [...stored.values()].reduce((sum, ids) => sum + ids.size, 0);
    if (distinct !== events.length)
      broken.push(`${events.length} rows for ${distinct} ids: an event stands twice`);

    let beyond = 0;
    for (const [key, ids] of ledger.received) {
      const missing = [...ids].filter((id) => stored.get(key)?.has(id) !== true);
      if (missing.length > 0)
        broken.push(
          `${key}: ${missing.length} of ${ids.size} responses have no event, e.g. ${missing[0] ?? ''}`,
        );
    }
    for (const [key, ids] of stored) {
      beyond += [...ids].filter((id) => ledger.received.get(key)?.has(id) !== true).length;
    }
    if (beyond > ledger.unanswered())
      broken.push(
        `${beyond} events without a response, but only ${ledger.unanswered()} requests went unanswered`,
      );

    for (const level of levels) {
      const totals = await rows<{ key: string; requests: string }>(
        `SELECT concat(tenant_id, ' ', decision) AS key, toString(sum(requests)) AS requests FROM usage_by_${level} WHERE type = 'tollgate.request.v1' GROUP BY key`,
      );
      const byKey = new Map(totals.map(({ key, requests }) => [key, Number(requests)]));
      for (const key of new Set([...byKey.keys(), ...stored.keys()])) {
        const [total, ids] = [byKey.get(key) ?? 0, stored.get(key)?.size ?? 0];
        if (total !== ids) broken.push(`usage_by_${level} has ${total} for ${key}, the events are ${ids}`);
      }
    }
    return { broken, stored: distinct };
  } finally {
    await client.close();
  }
}
