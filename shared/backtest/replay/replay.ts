import type { RecordedEvent } from '../../clickhouse/queries/recorded/recorded-events.ts';
import type { Outcome } from '../../domain/decision.ts';
import type { Limit } from '../../domain/limit.ts';
import type { Plan, Policy, Route } from '../../domain/policy.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { isTenantQuota } from '../../domain/quota.ts';
import { isExempt } from '../../policy/exempt.ts';
import { chargeRuleOf } from '../../policy/match.ts';
import { createSubjects } from '../../redis/decision/subjects.ts';
import type { Caller } from '../../redis/decision/subjects.ts';
import type { Shape } from '../../redis/decision/windows.ts';
import { amountsNow, settleCharge } from './amounts.ts';
import { chargeAll, checkWindows } from './check-windows.ts';
import type { ChargedCounter } from './check-windows.ts';
import { Counters } from './counters.ts';
import type { Counter } from './counters.ts';
import { keptReason } from './kept-decisions.ts';
import type { KeptReason } from './kept-decisions.ts';
import { LaterSteps } from './later-steps.ts';
import { Permits } from './permits.ts';
import { RecordedRoutes } from './recorded-routes.ts';
import { RequestResolver } from './resolve-request.ts';

/** The decision about a recorded request under another policy. */
export interface ReplayedDecision {
  readonly outcome: Outcome;
  readonly limitedBy: readonly string[];
  /** Units that the request charges, and keeps charged: 0 if it does not pass or if they are given back. */
  readonly units: number;
  readonly route: Route | null;
  /** Why the recorded decision was kept; null if the request was decided again. */
  readonly kept: KeptReason | null;
}

export interface ReplayOptions {
  readonly policy: Policy;
  /** Routes of the policy in force, by which the recorded requests were charged. */
  readonly recordedRoutes: RecordedRoutes;
  readonly recordOf: (tenantId: string) => TenantRecord | null;
  /** Largest number of entries of all windows in memory; above it, entries of small limits are merged. */
  readonly entriesMax: number;
}

/** Which windows a charge before the range is for. `sliding`: all types but quotas, which `quota` charges from sums. */
export type ChargedTypes = 'sliding' | 'quota';

const noNames: readonly string[] = [];

/**
 * Decides recorded requests again with counters in memory: with the matching of the gateway, and windows with the rules of the
 * scripts of Redis. The events of a range have to be passed in the order in which they were decided.
 */
export class Replay {
  readonly #policy: Policy;
  readonly #resolver: RequestResolver;
  readonly #routes: RecordedRoutes;
  readonly #counters: Counters;
  readonly #permits = new Permits();
  readonly #later = new LaterSteps();
  readonly #subjects = createSubjects('');

  constructor({ policy, recordedRoutes, recordOf, entriesMax }: ReplayOptions) {
    this.#policy = policy;
    this.#routes = recordedRoutes.policy === policy ? recordedRoutes : new RecordedRoutes(policy);
    this.#resolver = new RequestResolver({ policy, recordOf, recordedRoutes });
    this.#counters = new Counters(entriesMax);
  }

  /** Whether entries of small limits were merged, because there were too many. */
  get isMerged(): boolean {
    return this.#counters.isMerged;
  }

  /** Decides a request again. The rules have the order of the gateway's `decide`. */
  decide(event: RecordedEvent): ReplayedDecision {
    this.#later.runUntil(event.decidedAtMs);
    const route = this.#routes.of(event);
    const reason = keptReason(event, this.#policy);
    if (reason !== null) return keptDecision(event, route, reason);
    if (isExempt(this.#policy, route, event.path, event.ip))
      return { outcome: 'bypassed', limitedBy: noNames, units: 0, route, kept: null };
    const { caller, plan, units, shape, concurrent, unevaluated } = this.#resolver.resolve(event, route);
    if (event.decision === 'limited' && event.limitedBy.some((name) => unevaluated.has(name)))
      return keptDecision(event, route, 'attributes');
    const permit = this.#permits.acquire(concurrent, caller, this.#subjects);
    if (!permit.passed)
      return { outcome: 'limited', limitedBy: permit.limitedBy, units: 0, route, kept: null };
    const amounts = amountsNow(event, shape, this.#policy, units);
    const checked = checkWindows(shape, amounts, event.decidedAtMs, (index) =>
      this.#counterAt(shape, index, caller),
    );
    const limitedBy =
      permit.limitedBy.length === 0 ? checked.limitedBy : [...permit.limitedBy, ...checked.limitedBy];
    if (!checked.passed) {
      permit.release?.();
      return { outcome: 'limited', limitedBy, units: 0, route, kept: null };
    }
    if (permit.release !== null) this.#later.add(endMs(event), permit.release);
    const outcome = limitedBy.length > 0 ? 'shadow_limited' : 'allowed';
    const isGivenBack = isReturned(event, plan, route);
    this.#planSettlement(event, { isGivenBack, charged: checked.charged, shape, caller, amounts });
    return { outcome, limitedBy, units: isGivenBack ? 0 : units, route, kept: null };
  }

  /**
   * Charges a request that passed before the range, whether enforced limits have room or not, so that the counters are as full at
   * the start of the range as they were. `times`: the number of equal requests; their amounts are sums, and their units are those of one request.
   */
  chargePassed(event: RecordedEvent, types: ChargedTypes, times = 1): void {
    this.#later.runUntil(event.decidedAtMs);
    if (event.decision !== 'allowed' && event.decision !== 'shadow_limited') return;
    if (keptReason(event, this.#policy) !== null) return;
    const route = this.#routes.of(event);
    if (isExempt(this.#policy, route, event.path, event.ip)) return;
    const { caller, plan, units, shape } = this.#resolver.resolve(event, route);
    const isGivenBack = isReturned(event, plan, route);
    if (isGivenBack && types === 'quota') return;
    const amounts = amountsNow(event, shape, this.#policy, units * times);
    const charged = this.#chargeWindows(
      shape,
      caller,
      amounts,
      event.decidedAtMs,
      ({ type }) => type === types,
    );
    if (types === 'sliding') this.#planSettlement(event, { isGivenBack, charged, shape, caller, amounts });
  }

  /** Charges usage that an API server published to the quotas of the tenant, which ClickHouse's totals raise. */
  chargeUsage(event: RecordedEvent, times = 1): void {
    const { caller, shape } = this.#resolver.resolve(event, this.#routes.named(event.route));
    const amounts = shape.quantities.map((_, index) => (index === 0 ? event.units * times : 0));
    this.#chargeWindows(shape, caller, amounts, event.decidedAtMs, isTenantQuota);
  }

  /** Deletes counters that have no effect any more. Called from time to time. */
  sweep(nowMs: number): void {
    this.#later.runUntil(nowMs);
    this.#counters.sweep(nowMs);
  }

  #chargeWindows(
    shape: Shape,
    caller: Caller,
    amounts: readonly number[],
    decidedAtMs: number,
    isCharged: (limit: Limit) => boolean,
  ): readonly ChargedCounter[] {
    const nowMs = Math.floor(decidedAtMs);
    const counters = shape.windows.map(({ counts, limit, shadow }, index) => {
      const counter = counts === 'charged' && isCharged(limit) ? this.#counterAt(shape, index, caller) : null;
      if (counter === null || !shadow || limit.type !== 'sliding') return counter;
      // As in Redis, a window in shadow mode that has no room is not charged.
      return counter.hasRoom(Math.max(1, amounts[shape.quantityOf[index] ?? 0] ?? 0), nowMs) ? counter : null;
    });
    return chargeAll(shape, amounts, decidedAtMs, counters);
  }

  #counterAt(
    { windows, subjects, subjectOf, calendars }: Shape,
    index: number,
    caller: Caller,
  ): Counter | null {
    const window = windows[index];
    const kind = subjects[subjectOf[index] ?? 0];
    if (window === undefined || kind === undefined) return null;
    const before = windows[index - 1];
    const carried = before?.counts === 'carried' ? before : null;
    const { key } = this.#subjects.of(kind, caller);
    return this.#counters.counterOf(key, window, carried, calendars[index] ?? 'UTC');
  }

  /** Plans what happens after the response: units are given back, or reserved amounts are replaced by used ones. */
  #planSettlement(event: RecordedEvent, charge: Charge): void {
    const { isGivenBack, charged } = charge;
    if (event.reserved !== null) {
      this.#later.add(endMs(event), (atMs) => {
        for (const one of charged) settleCharge(one, isGivenBack, event, this.#policy, atMs);
      });
    } else if (isGivenBack) {
      this.#later.add(endMs(event), (atMs) => this.#giveBack(charge, Math.floor(atMs)));
    }
  }

  /** As in Redis, the oldest units of every window are returned, also of a window in shadow mode that had no room. */
  #giveBack({ shape, caller, amounts }: Charge, nowMs: number): void {
    for (const [index, { counts }] of shape.windows.entries()) {
      const amount = amounts[shape.quantityOf[index] ?? 0] ?? 0;
      if (counts === 'charged' && amount > 0)
        this.#counterAt(shape, index, caller)?.returnOldest(amount, nowMs);
    }
  }
}

/** What a request that passed has charged. */
interface Charge {
  readonly isGivenBack: boolean;
  readonly charged: readonly ChargedCounter[];
  readonly shape: Shape;
  readonly caller: Caller;
  readonly amounts: readonly number[];
}

/** End of the response. The latency contains the check, which the time of the decision is near the end of. */
function endMs({ decidedAtMs, latencyMs, checkMicros }: RecordedEvent): number {
  return decidedAtMs + Math.max(0, latencyMs - checkMicros / 1000);
}

function isReturned({ status }: RecordedEvent, plan: Plan, route: Route | null): boolean {
  return chargeRuleOf(plan, route)?.unlessStatus.has(status) === true;
}

function keptDecision(
  { decision, limitedBy, units }: RecordedEvent,
  route: Route | null,
  kept: KeptReason,
): ReplayedDecision {
  return { outcome: decision, limitedBy, units: decision === 'limited' ? 0 : units, route, kept };
}
