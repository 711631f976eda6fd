import { expect, test } from 'vitest';
import type { Limit } from '../../../shared/domain/limit.ts';
import { createLocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import type { Account, LocalLedger } from '../../../shared/redis/fallback/local-ledger.ts';
import { createLocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import type { LocalLimiter } from '../../../shared/redis/fallback/local-limiter.ts';
import type { PendingCheck } from '../../../shared/redis/decision/batch.ts';
import { createPeriodCache } from '../../../shared/redis/decision/periods.ts';
import { createSubjects } from '../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../shared/redis/decision/windows.ts';

const base: Limit = {
  ...{
    name: 'minute',
    of: 'requests',
    per: ['tenant'],
    type: 'sliding',
    limit: 10,
    windowMs: 60_000,
    period: null,
  },
  ...{ burst: 0, mode: 'enforce', route: null },
};
const day: Limit = { ...base, name: 'day', type: 'quota', period: 'day', windowMs: 86_400_000 };
const limits = [base, day];
const nowMs = Date.UTC(2026, 0, 31, 10);
const subjects = createSubjects('tg');

function limiterWith(options: { accountsMax?: number; nodes?: number } = {}): {
  ledger: LocalLedger;
  local: LocalLimiter;
  dropped: () => number;
} {
  let dropped = 0;
  const ledger = createLocalLedger({ ...options, onDropped: () => (dropped += 1) });
  const local = createLocalLimiter({ ledger, nodes: () => options.nodes ?? 1, periods: createPeriodCache() });
  return { ledger, local, dropped: () => dropped };
}

function checkOf(tenantId: string, cost: number, peek = false): PendingCheck {
  const request = { tenantId, userId: null, ip: '192.0.2.1', limits, cost, peek };
  const shape = shapeOf(limits, true, false, 'UTC');
  return { request, shape, subjects: shape.subjects.map((kind) => subjects.of(kind, request)) };
}

const remaining = (local: LocalLimiter, tenantId: string, atMs = nowMs): number[] =>
  local.decide(checkOf(tenantId, 1, true), atMs).map((state) => state.remaining);

/** Changes the local windows of one subject in the same way as a backfill. */
function acknowledge({ rows }: Account, used: number): void {
  for (const { local } of rows.values()) {
    local.beginSending();
    local.confirmSent();
    local.observeRedis({ used, goneAtMs: nowMs + 60_000 });
  }
}

test('returned units are free again, and are not sent to Redis', () => {
  const { ledger, local } = limiterWith();
  local.decide(checkOf('acme', 2), nowMs);
  const check = checkOf('acme', 3);
  const states = local.decide(check, nowMs + 5);
  local.returnUnits(check, states, nowMs + 5);
  expect(remaining(local, 'acme', nowMs + 5)).toEqual([8, 8]);
  const sent = [...ledger.unsent].flatMap(({ rows }) =>
    [...rows.values()].map((row) => row.local.beginSending()),
  );
  expect(sent).toEqual([
    [{ firstMs: nowMs, lastMs: nowMs, units: 2 }],
    [{ firstMs: nowMs, lastMs: nowMs + 5, units: 2 }],
  ]);
});

test('of the units in Redis, the larger of the node’s own and its share of all counts', () => {
  const { ledger, local } = limiterWith({ nodes: 2 });
  local.decide(checkOf('acme', 4), nowMs);
  const account = ledger.accountOf(checkOf('acme', 1).subjects[0]!);
  acknowledge(account, 4);
  expect(remaining(local, 'acme')).toEqual([1, 1]);
  acknowledge(account, 10);
  expect(remaining(local, 'acme')).toEqual([0, 0]);
});

test('a subject is kept until its windows are over, and then deleted', () => {
  const { ledger, local } = limiterWith();
  local.decide(checkOf('acme', 1), nowMs);
  acknowledge(ledger.accountOf(checkOf('acme', 1).subjects[0]!), 1);
  for (const account of ledger.unsent) ledger.clearUnsent(account);
  ledger.sweep(nowMs + 60_000);
  expect(ledger.entries()).toBe(1);
  ledger.sweep(nowMs + 86_400_000);
  ledger.sweep(nowMs + 86_400_000);
  expect(ledger.entries()).toBe(0);
});

test('above the bound the least recently used subject is evicted, and its units that Redis lacks are counted as dropped', () => {
  const { ledger, local, dropped } = limiterWith({ accountsMax: 2 });
  for (const tenantId of ['first', 'second', 'first', 'third']) local.decide(checkOf(tenantId, 1), nowMs);
  expect([...ledger.unsent].map(({ subject }) => subject.key)).toEqual(['tg:{first}', 'tg:{third}']);
  expect(dropped()).toBe(1);
  expect(ledger.entries()).toBe(4);
  expect(remaining(local, 'first')).toEqual([8, 8]);
});
