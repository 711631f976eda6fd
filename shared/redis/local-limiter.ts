import type { LimitState } from '../domain/limit.ts';
import type { PendingCheck } from './batch.ts';
import { isCost, stateOf } from './check.ts';
import { createQuotaWindow, createSlidingWindow } from './local-window.ts';
import type { LocalWindow, WindowRules } from './local-window.ts';
import type { PeriodCache } from './periods.ts';
import type { Subject } from './subjects.ts';
import type { Window } from './windows.ts';

/**
 * Decides without Redis, for one outage: limit ÷ live nodes (at least 1), starting from what this node last heard of
 * each window. Lives as long as the outage; its windows hang on the bounded map of subjects.
 */
export interface LocalLimiter {
  decide(check: PendingCheck, nowMs: number): LimitState[];
  /** Log entries held for all windows. */
  entries(): number;
}

export interface LocalLimiterOptions {
  readonly nodes: () => number;
  readonly periods: PeriodCache;
  /** Above this many entries in all, new ones are merged as those of large limits are: never over, a little coarser. */
  readonly exactEntriesMax?: number;
}

interface Counted {
  readonly window: Window;
  readonly rules: WindowRules;
  readonly local: LocalWindow;
  readonly room: boolean;
}

/** How long a cost that this node's share can never hold is told to wait: by then Redis may be back. */
const shareTooSmallWaitMs = 1000;

export function createLocalLimiter(options: LocalLimiterOptions): LocalLimiter {
  const { nodes, periods, exactEntriesMax = 1_000_000 } = options;
  const windowsOf = new WeakMap<Subject, Map<string, LocalWindow>>();
  let entries = 0;
  return { decide, entries: () => entries };

  function decide({ request, shape, subjects }: PendingCheck, nowMs: number): LimitState[] {
    const share = Math.max(1, nodes());
    const cost = isCost(request.cost) ? request.cost : 1;
    const counted = shape.windows.map((window, index): Counted => {
      const subject = subjects[shape.subjectOf[index] ?? 0];
      const rules = rulesOf(window, share, shape.timeZones[index] ?? 'UTC', nowMs);
      const local = windowFor(subject, window, share);
      return { window, rules, local, room: local.hasRoom(rules, cost, nowMs) };
    });
    const passes = counted.every(({ window, room }) => room || window.shadow);
    if (passes && !request.peek && isCost(request.cost)) {
      for (const { local, rules, room } of counted) if (room) takeFrom(local, rules, cost, nowMs);
    }
    return counted.map(({ window, rules, local, room }) => {
      const answer = local.answer(rules, cost, room, nowMs);
      const waitMs = room ? 0 : waitOf(window, rules, cost, answer.waitMs);
      return stateOf(window.limit, nowMs, { ...answer, waitMs });
    });
  }

  function rulesOf(window: Window, share: number, timeZone: string, nowMs: number): WindowRules {
    const coarse = entries > exactEntriesMax;
    return {
      units: window.units === 0 ? 0 : Math.max(1, Math.floor(window.units / share)),
      burst: Math.floor(window.burst / share),
      spanMs: window.spanMs,
      grainMs: coarse ? Math.max(window.grainMs, Math.floor(window.spanMs / 64)) : window.grainMs,
      periods: window.period === null ? null : periods.around(window.period, timeZone, nowMs),
    };
  }

  function windowFor(subject: Subject | undefined, window: Window, share: number): LocalWindow {
    if (subject === undefined) throw new Error('A window without its subject');
    let locals = windowsOf.get(subject);
    if (locals === undefined) windowsOf.set(subject, (locals = new Map<string, LocalWindow>()));
    let local = locals.get(window.field);
    if (local === undefined) {
      const seen = subject.seen.get(window.field);
      const units = seen === undefined ? 0 : Math.ceil(seen.used / share);
      const resetAtMs = seen?.resetAtMs ?? 0;
      local =
        window.period === null
          ? createSlidingWindow({ units, atMs: resetAtMs - window.spanMs })
          : createQuotaWindow({ units, finishMs: resetAtMs });
      locals.set(window.field, local);
    }
    return local;
  }

  function takeFrom(local: LocalWindow, rules: WindowRules, cost: number, nowMs: number): void {
    const before = local.size();
    local.take(rules, cost, nowMs);
    entries += local.size() - before;
  }
}

function waitOf(window: Window, rules: WindowRules, cost: number, waitMs: number): number {
  if (cost > window.units + window.burst) return -1;
  return cost > rules.units + rules.burst ? Math.min(window.spanMs, shareTooSmallWaitMs) : waitMs;
}
