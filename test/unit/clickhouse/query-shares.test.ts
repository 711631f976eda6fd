import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import { createQueryShares } from '../../../shared/clickhouse/query-shares.ts';
import type { QueryShares } from '../../../shared/clickhouse/query-shares.ts';

/** A store that responds when the test lets it, and records the order in which queries began. */
function heldStore(): { reader: ClickHouseReader; begun: string[]; finishOne: () => Promise<void> } {
  const begun: string[] = [];
  const finish: (() => void)[] = [];
  const reader: ClickHouseReader = {
    query: <Row>(sql: string) => {
      begun.push(sql);
      return new Promise<Row[]>((resolve) => finish.push(() => resolve([])));
    },
  };
  return {
    reader,
    begun,
    finishOne: async () => {
      finish.shift()?.();
      for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
    },
  };
}

function sharesOf(clickhouse: ClickHouseReader): QueryShares {
  const registry = new Registry();
  return createQueryShares({
    clickhouse,
    registry,
    concurrentMax: 4,
    concurrentOfTenantMax: 2,
    waitingOfTenantMax: 10,
  });
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
};

test('C2: queries of one tenant never use all connections, and another tenant waits for at most one query', async () => {
  const store = heldStore();
  const shares = sharesOf(store.reader);
  for (let n = 0; n < 12; n += 1) void shares.of('flood').query(`flood ${n}`);
  for (let n = 0; n < 12; n += 1) void shares.of('second').query(`second ${n}`);
  await settled();
  expect(store.begun).toEqual(['flood 0', 'flood 1', 'second 0', 'second 1']);
  void shares.of('calm').query('calm');
  await settled();
  expect(store.begun).not.toContain('calm');
  await store.finishOne();
  await store.finishOne();
  expect(store.begun).toContain('calm');
});

test('C2: a tenant with too many waiting queries gets an error at once, others are served', async () => {
  const store = heldStore();
  const shares = sharesOf(store.reader);
  const flood = Array.from({ length: 13 }, (_, n) => shares.of('flood').query(`flood ${n}`));
  const refused = flood.pop();
  for (const query of flood) query.catch(() => undefined);
  await expect(refused).rejects.toMatchObject({ code: 'CLICKHOUSE_QUERIES_FULL' });
  void shares.of('calm').query('calm');
  await settled();
  expect(store.begun).toContain('calm');
});

test('a query whose caller disconnected is removed, whether it waits or has not started to wait', async () => {
  const store = heldStore();
  const shares = sharesOf(store.reader);
  for (let n = 0; n < 2; n += 1) void shares.of('a').query(`a ${n}`);
  const leaving = new AbortController();
  const left = shares.of('a', leaving.signal).query('left');
  const after = shares.of('a').query('after');
  leaving.abort();
  await expect(left).rejects.toMatchObject({ code: 'CLICKHOUSE_UNAVAILABLE' });
  await expect(shares.of('b', leaving.signal).query('never')).rejects.toThrow('disconnected');
  await store.finishOne();
  expect(store.begun).toEqual(['a 0', 'a 1', 'after']);
  await store.finishOne();
  await store.finishOne();
  expect(await after).toEqual([]);
});

test('a failed query lets the next one start', async () => {
  const failing: ClickHouseReader = { query: () => Promise.reject(new Error('down')) };
  const shares = sharesOf(failing);
  for (let n = 0; n < 30; n += 1) await expect(shares.of('a').query('x')).rejects.toThrow('down');
});
