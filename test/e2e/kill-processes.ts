import { createClient } from '@clickhouse/client';
import { expect } from 'vitest';
import type { Checkout, StackFile } from '../support/checkout.ts';
import { eventually } from '../support/servers.ts';
import { untilSpoolStores } from '../support/spool.ts';

const isLong = process.env['TOLLGATE_FAULTS'] === 'long';
const recoveryMs = 90_000;

/**
 * Kills the processes of a running stack while a client makes calls. The short form kills all of them at the same
 * moment, the long form (`TOLLGATE_FAULTS=long`) one after the other. Every answered request must be one event, and
 * the totals must equal the events. Returns the new stack file.
 */
export async function checkKills(checkout: Checkout, stack: StackFile): Promise<StackFile> {
  const tenant = stack.tenants.find(({ plan, busy }) => plan === 'enterprise' && !busy)!;
  const before = await storedEvents(stack, tenant.tenant_id);
  const client = startCalls(stack, tenant.jwt);
  const names = Object.keys(stack.pids);
  let current = stack;
  for (const group of isLong ? names.map((name) => [name]) : [names]) {
    await eventually(() => client.answered.size > before.events.size, { timeoutMs: recoveryMs });
    await untilSpoolStores(current.urls['gateway_ops']!);
    for (const name of group) process.kill(current.pids[name]!, 'SIGKILL');
    const killed = current;
    current = await eventually(
      async () => {
        const file = await checkout.stackFile();
        return file !== null && group.every((name) => file.pids[name] !== killed.pids[name]) ? file : null;
      },
      { timeoutMs: recoveryMs, intervalMs: 100 },
    );
    await eventually(() => allReady(current), { timeoutMs: recoveryMs, intervalMs: 100 });
    const answeredSoFar = client.answered.size;
    await eventually(() => client.answered.size > answeredSoFar, { timeoutMs: recoveryMs });
  }
  const answered = await client.stop();
  const stored = await eventually(
    async () => {
      const found = await storedEvents(stack, tenant.tenant_id);
      const lost = [...answered].filter((id) => !found.events.has(id));
      expect(lost, `of ${answered.size} answered requests`).toEqual([]);
      expect(found.total, 'sum of the totals').toBe(found.events.size);
      return found;
    },
    { timeoutMs: recoveryMs, intervalMs: 200 },
  );
  expect(stored.rows, 'rows of different events').toBe(stored.events.size);
  expect(answered.size).toBeGreaterThan(10);
  return current;
}

interface Calls {
  /** Ids of the decisions about the calls that were answered. */
  readonly answered: ReadonlySet<string>;
  stop(): Promise<ReadonlySet<string>>;
}

/** Makes one call after the other. A call that fails is not an answered call; it is followed by a short pause. */
function startCalls(stack: StackFile, jwt: string): Calls {
  const answered = new Set<string>();
  const stopping = new AbortController();
  const isStopping = (): boolean => stopping.signal.aborted;
  const done = (async () => {
    while (!isStopping())
      await eventually(async () => isStopping() || (await call()), { timeoutMs: recoveryMs });
  })();
  return {
    answered,
    async stop() {
      stopping.abort();
      await done;
      return answered;
    },
  };

  async function call(): Promise<boolean> {
    const response = await fetch(`${stack.urls['gateway']!}/v1/orders`, {
      // A token, because a gateway can verify an API key only after it has read the records from Kafka.
      headers: { authorization: `Bearer ${jwt}` },
      signal: AbortSignal.timeout(5_000),
    });
    await response.arrayBuffer();
    const id = response.headers.get('x-tollgate-decision');
    if (id !== null) answered.add(id);
    return id !== null;
  }
}

async function allReady({ urls }: StackFile): Promise<boolean> {
  const addresses = Object.entries(urls)
    .filter(([name]) => name.endsWith('_ops') || name === 'admin')
    .map(([, url]) => `${url}/readyz`);
  const responses = await Promise.all(
    addresses.map((url) => fetch(url, { signal: AbortSignal.timeout(2_000) })),
  );
  await Promise.all(responses.map((response) => response.arrayBuffer()));
  return responses.every(({ ok }) => ok);
}

/** The events of a tenant by their ids, the number of rows, and the sum of the totals by minute. */
async function storedEvents(
  stack: StackFile,
  tenantId: string,
): Promise<{ events: ReadonlySet<string>; rows: number; total: number }> {
  const clickhouse = createClient({ url: stack.urls['clickhouse']! });
  const rowsOf = async <Row>(query: string): Promise<Row[]> => {
    const result = await clickhouse.query({ query, query_params: { tenantId }, format: 'JSONEachRow' });
    return result.json<Row>();
  };
  try {
    const events = await rowsOf<{ event_id: string }>(
      'SELECT event_id FROM tollgate.usage_events WHERE tenant_id = {tenantId:String} AND time > now() - INTERVAL 1 HOUR',
    );
    const [totals] = await rowsOf<{ total: string }>(
      'SELECT sum(requests) AS total FROM tollgate.usage_by_minute WHERE tenant_id = {tenantId:String} AND minute > now() - INTERVAL 61 MINUTE',
    );
    return {
      events: new Set(events.map(({ event_id: id }) => id)),
      rows: events.length,
      total: Number(totals?.total ?? 0),
    };
  } finally {
    await clickhouse.close();
  }
}
