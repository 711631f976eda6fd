import type { LimitState } from '../../domain/limit.ts';
import type { PendingCheck } from '../decision/batch.ts';
import { isCost, stateOf } from '../decision/check.ts';
import { nodeShare } from './node-share.ts';
import { rowOf } from './local-ledger.ts';
import type { Account, LocalLedger, Row } from './local-ledger.ts';
import type { WindowRules } from './local-window.ts';
import type { PeriodCache } from '../decision/periods.ts';
import type { Window } from '../decision/windows.ts';

/**
 * Decides without Redis: limit ÷ live nodes (at least 1) in any window, over all outages together, starting from what
 * this node last heard of each window.
 */
export interface LocalLimiter {
  decide(check: PendingCheck, nowMs: number): LimitState[];
  /** Returns what `decide` took of the windows that had room. */
  giveBack(check: PendingCheck, states: readonly LimitState[], nowMs: number): void;
}

export interface LocalLimiterOptions {
  readonly ledger: LocalLedger;
  readonly nodes: () => number;
  readonly periods: PeriodCache;
  /** Above this many entries in all, new ones are merged as those of large limits are: never over, a little coarser. */
  readonly exactEntriesMax?: number;
}

interface Counted {
  readonly window: Window;
  readonly rules: WindowRules;
  readonly row: Row;
  readonly room: boolean;
}

/** How long a cost that this node's share can never hold is told to wait: by then Redis may be back. */
const shareTooSmallWaitMs = 1000;

export function createLocalLimiter(options: LocalLimiterOptions): LocalLimiter {
  const { ledger, nodes, periods, exactEntriesMax = 1_000_000 } = options;
  return { decide, giveBack };

  function decide(check: PendingCheck, nowMs: number): LimitState[] {
    const { request, shape } = check;
    const cost = isCost(request.cost) ? request.cost : 1;
    const accounts = check.subjects.map((subject) => ledger.of(subject));
    const counted = shape.windows.map((window, index): Counted => {
      const timeZone = shape.timeZones[index] ?? 'UTC';
      const rules = rulesOf(window, timeZone, nowMs);
      const row = rowOf(accountAt(accounts, check, index), window, timeZone);
      hear(row, check, index, nowMs);
      return { window, rules, row, room: row.local.hasRoom(rules, cost, nowMs) };
    });
    const passes = counted.every(({ window, room }) => room || window.shadow);
    if (passes && !request.peek && isCost(request.cost)) {
      for (const { row, rules, room } of counted) if (room) row.local.take(rules, cost, nowMs);
    }
    for (const account of accounts) ledger.changed(account, nowMs);
    return counted.map(({ window, rules, row, room }) => {
      const answer = row.local.answer(rules, cost, room, nowMs);
      const waitMs = room ? 0 : waitOf(window, rules, cost, answer.waitMs);
      return stateOf(window.limit, nowMs, { ...answer, waitMs });
    });
  }

  function giveBack(check: PendingCheck, states: readonly LimitState[], nowMs: number): void {
    const accounts = check.subjects.map((subject) => ledger.of(subject));
    check.shape.windows.forEach((window, index) => {
      if (states[index]?.violated !== false) return;
      const row = accountAt(accounts, check, index).rows.get(window.field);
      row?.local.giveBack(check.request.cost);
    });
    for (const account of accounts) ledger.changed(account, nowMs);
  }

  function rulesOf(window: Window, timeZone: string, nowMs: number): WindowRules {
    const coarse = ledger.entries() > exactEntriesMax;
    const share = Math.max(1, nodes());
    return {
      units: nodeShare(window.units, share),
      burst: Math.floor(window.burst / share),
      spanMs: window.spanMs,
      grainMs: coarse ? Math.max(window.grainMs, Math.floor(window.spanMs / 64)) : window.grainMs,
      periods: window.period === null ? null : periods.around(window.period, timeZone, nowMs),
      nodes: share,
    };
  }
}

function accountAt(accounts: readonly Account[], { shape }: PendingCheck, windowIndex: number): Account {
  const account = accounts[shape.subjectOf[windowIndex] ?? 0];
  if (account === undefined) throw new Error('A window without its subject');
  return account;
}

/** What Redis said of the window since the last local decision. */
function hear(row: Row, { shape, subjects }: PendingCheck, windowIndex: number, nowMs: number): void {
  const seen = subjects[shape.subjectOf[windowIndex] ?? 0]?.seen.get(row.window.field);
  if (seen === undefined) return;
  if (seen.used === row.heardUsed && seen.resetAtMs === row.heardResetAtMs) return;
  [row.heardUsed, row.heardResetAtMs] = [seen.used, seen.resetAtMs];
  // Redis's clock may be ahead of this node's: no unit stays longer than its window.
  const longestMs = row.window.period === null ? nowMs + row.window.spanMs : Infinity;
  row.local.hear({ used: seen.used, goneAtMs: Math.min(seen.resetAtMs, longestMs) });
}

function waitOf(window: Window, rules: WindowRules, cost: number, waitMs: number): number {
  if (cost > window.units + window.burst) return -1;
  return cost > rules.units + rules.burst ? Math.min(window.spanMs, shareTooSmallWaitMs) : waitMs;
}
