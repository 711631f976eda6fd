import type { LimitState } from '../../domain/limit.ts';
import type { PendingCheck } from '../decision/batch.ts';
import type { SlotPart } from '../reservations/pending-reservation.ts';
import { amountOf, isValidRequest, stateOf } from '../decision/check.ts';
import type { CheckRequest } from '../decision/check.ts';
import { nodeShare } from './node-share.ts';
import { rowOf } from './local-ledger.ts';
import type { Account, LocalLedger, Row } from './local-ledger.ts';
import type { WindowRules } from './local-window.ts';
import type { PeriodCache } from '../decision/periods.ts';
import type { Shape, Window } from '../decision/windows.ts';

/**
 * Decides without Redis. In any window this node grants at most its share of the limit, over all outages together. It starts from
 * its share of the usage in Redis's last reply for the window.
 */
export interface LocalLimiter {
  decide(check: PendingCheck, nowMs: number): LimitState[];
  /** Charges amounts by index of the shape's quantities to all windows, or to none. */
  charge(part: SlotPart, amounts: readonly number[], rule: ChargeRule, nowMs: number): LocalDecision;
  /** Removes the units that `decide` charged to the windows with room. `states` is the result of `decide`. */
  returnUnits(check: PendingCheck, states: readonly LimitState[], nowMs: number): void;
}

/** How amounts are tested and charged. */
export interface ChargeRule {
  /** Units for which a window with an amount of 0 is tested; 0: it is not tested. */
  readonly least: 0 | 1;
  /** `test`: nothing is charged. `all`: charged even if there is no room, as used amounts and not as reserved ones. */
  readonly charges: 'test' | 'if_room' | 'all';
}

export interface LocalDecision {
  readonly states: LimitState[];
  /** What was charged to each window; null for a window that was not charged. */
  readonly charged: readonly (ChargedWindow | null)[];
}

export interface ChargedWindow {
  readonly account: Account;
  readonly row: Row;
  readonly atMs: number;
}

export interface LocalLimiterOptions {
  readonly ledger: LocalLedger;
  readonly nodes: () => number;
  readonly periods: PeriodCache;
  /**
   * Above this number of entries in all windows together, new entries are merged as for large limits. The limit is still never
   * exceeded, but requests may be refused a little too long.
   */
  readonly exactEntriesMax?: number;
}

interface Counted {
  readonly window: Window;
  readonly rules: WindowRules;
  readonly account: Account;
  readonly row: Row;
  /** Amount of the window's quantity that the check charges. */
  readonly amount: number;
  /** Units that the window is tested for: the amount, and at least 1. */
  readonly need: number;
  readonly room: boolean;
}

/** Retry time if a cost is above this node's share but not above the limit. By then, Redis may be available again. */
const shareTooSmallWaitMs = 1000;

export function createLocalLimiter(options: LocalLimiterOptions): LocalLimiter {
  const { ledger, nodes, periods, exactEntriesMax = 1_000_000 } = options;
  return { decide, charge, returnUnits };

  function decide(check: PendingCheck, nowMs: number): LimitState[] {
    const { request, shape } = check;
    const valid = isValidRequest(request);
    const amounts = shape.quantities.map((_, index) =>
      valid ? amountOf(request, shape.quantities, index) : 0,
    );
    const charges = request.peek || !valid ? 'test' : 'if_room';
    return charge(check, amounts, { least: 1, charges }, nowMs).states;
  }

  function charge(
    part: SlotPart,
    amounts: readonly number[],
    { least, charges }: ChargeRule,
    nowMs: number,
  ): LocalDecision {
    const { shape } = part;
    const accounts = part.subjects.map((subject) => ledger.accountOf(subject));
    let roomBefore = true;
    const counted = shape.windows.map((window, index): Counted => {
      const calendar = shape.calendars[index] ?? 'UTC';
      const rules = rulesOf(window, calendar, nowMs);
      const account = accountAt(accounts, part, index);
      const row = rowOf(account, window, calendar);
      observeRedis(row, part, index, nowMs);
      const amount = amounts[shape.quantityOf[index] ?? 0] ?? 0;
      const need = Math.max(least, amount);
      const isReserved = window.counts === 'reserved';
      const isCarried = window.counts === 'carried';
      const room = isReserved ? roomBefore : isCarried || need === 0 || row.local.hasRoom(rules, need, nowMs);
      roomBefore = room;
      return { window, rules, account, row, amount, need, room };
    });
    const passes = charges === 'all' || counted.every(({ window, room }) => room || doesNotRefuse(window));
    const charged = counted.map(({ window, account, row, rules, amount, room }) => {
      const hasRoom = charges === 'all' ? window.counts !== 'reserved' : room;
      const isCharged = charges !== 'test' && passes && amount > 0 && hasRoom && window.counts !== 'carried';
      return isCharged ? { account, row, atMs: row.local.charge(rules, amount, nowMs) } : null;
    });
    for (const account of accounts) ledger.update(account, nowMs);
    const states = counted.map(({ window, rules, row, need, room }) => {
      const outcome = row.local.outcome(rules, need, room, nowMs);
      const waitMs = room || window.counts === 'reserved' ? 0 : waitOf(window, rules, need, outcome.waitMs);
      return stateOf(window.limit, nowMs, { ...outcome, waitMs });
    });
    return { states, charged };
  }

  function returnUnits(check: PendingCheck, states: readonly LimitState[], nowMs: number): void {
    const accounts = check.subjects.map((subject) => ledger.accountOf(subject));
    check.shape.windows.forEach((window, index) => {
      if (states[index]?.violated !== false) return;
      const row = accountAt(accounts, check, index).rows.get(window.field);
      if (window.counts !== 'carried')
        row?.local.returnUnits(windowAmount(check.request, check.shape, index));
    });
    for (const account of accounts) ledger.update(account, nowMs);
  }

  function rulesOf(window: Window, calendar: string, nowMs: number): WindowRules {
    const coarse = ledger.entries() > exactEntriesMax;
    const nodeCount = Math.max(1, nodes());
    return {
      units: nodeShare(window.units, nodeCount),
      // `nodeShare` would return at least 1; a small burst may round down to 0.
      burst: Math.floor(window.burst / nodeCount),
      spanMs: window.spanMs,
      grainMs: coarse ? Math.max(window.grainMs, Math.floor(window.spanMs / 64)) : window.grainMs,
      periods: window.period === null ? null : periods.around(window.period, calendar, nowMs),
      nodes: nodeCount,
    };
  }
}

function doesNotRefuse({ shadow, counts }: Window): boolean {
  return shadow || counts === 'reserved' || counts === 'carried';
}

function windowAmount(request: CheckRequest, { quantities, quantityOf }: Shape, windowIndex: number): number {
  return amountOf(request, quantities, quantityOf[windowIndex] ?? 0);
}

function accountAt(accounts: readonly Account[], { shape }: SlotPart, windowIndex: number): Account {
  const account = accounts[shape.subjectOf[windowIndex] ?? 0];
  if (account === undefined) throw new Error('A window without its subject');
  return account;
}

/** Passes the usage in Redis's last reply to the window, if it is newer than the usage that the window has. */
function observeRedis(row: Row, { shape, subjects }: SlotPart, windowIndex: number, nowMs: number): void {
  const usage = subjects[shape.subjectOf[windowIndex] ?? 0]?.usageByField.get(row.window.field);
  if (usage === undefined) return;
  if (usage.used === row.observedUsed && usage.resetAtMs === row.observedResetAtMs) return;
  [row.observedUsed, row.observedResetAtMs] = [usage.used, usage.resetAtMs];
  // Redis's clock may be ahead of this node's clock. This bound ensures that no unit counts longer than its window lasts.
  const longestMs = row.window.period === null ? nowMs + row.window.spanMs : Infinity;
  row.local.observeRedis({ used: usage.used, goneAtMs: Math.min(usage.resetAtMs, longestMs) });
}

function waitOf(window: Window, rules: WindowRules, cost: number, waitMs: number): number {
  if (cost > window.units + window.burst) return -1;
  return cost > rules.units + rules.burst ? Math.min(window.spanMs, shareTooSmallWaitMs) : waitMs;
}
