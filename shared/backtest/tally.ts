import type { RecordedEvent } from '../clickhouse/queries/recorded/recorded-events.ts';
import type { Outcome } from '../domain/decision.ts';
import { jsonMoney } from '../domain/money.ts';
import type { Money } from '../domain/money.ts';
import type { Policy } from '../domain/policy.ts';
import { costUnder } from './replay/amounts.ts';
import type { KeptReason } from './replay/kept-decisions.ts';
import type { RecordedRoutes } from './replay/recorded-routes.ts';
import type { ReplayedDecision } from './replay/replay.ts';
import type { Agreement, BacktestResult, GroupEffect, LimitEffect } from './result.ts';

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
type Effect = Writable<Omit<GroupEffect, 'name' | 'cost' | 'cost_proposed'>> & {
  cost: Money;
  costProposed: Money;
};

export interface TallyOptions {
  readonly policy: Policy;
  readonly inForce: Policy;
  readonly recordedRoutes: Pick<RecordedRoutes, 'named'>;
}

/** Tenants and routes in the result. All of them are counted; the others have fewer changed decisions. */
const tenantsMax = 100;
const routesMax = 100;

/** Compares the recorded decisions with the replayed ones, and sums up the differences. */
export class Tally {
  readonly #options: TallyOptions;
  readonly #total = newEffect();
  readonly #recorded = newCounts();
  readonly #proposed = newCounts();
  readonly #byTenant = new Map<string, Effect & { plan: string }>();
  readonly #byRoute = new Map<string, Effect>();
  readonly #byPlan = new Map<string, Effect>();
  readonly #byLimit = new Map<string, Writable<Omit<LimitEffect, 'limit'>>>();
  readonly #quantities = new Map<string, { used: Money; usedProposed: Money }>();
  readonly #agreement = { compared: 0, agreed: 0 };
  readonly kept = new Map<KeptReason, number>();
  degraded = 0;
  withoutTime = 0;
  ofOtherRevisions = 0;

  constructor(options: TallyOptions) {
    this.#options = options;
  }

  /** `replayed`: the decision of the policy in force. */
  add(event: RecordedEvent, proposed: ReplayedDecision, replayed: ReplayedDecision): void {
    this.#recorded[event.decision] += 1;
    this.#proposed[proposed.outcome] += 1;
    if (proposed.kept !== null) this.kept.set(proposed.kept, (this.kept.get(proposed.kept) ?? 0) + 1);
    this.#addEffects(event, proposed);
    this.#addLimits(event, proposed);
    if (event.quantities !== null) this.#addQuantities(event, proposed);
    this.#compare(event, replayed);
  }

  #addEffects(event: RecordedEvent, proposed: ReplayedDecision): void {
    const { recordedRoutes } = this.#options;
    const wasRefused = event.decision === 'limited';
    const isRefused = proposed.outcome === 'limited';
    const cost = wasRefused ? 0n : event.cost;
    const costProposed = isRefused
      ? 0n
      : costUnder(event, proposed.units, proposed.route, recordedRoutes.named(event.route));
    const tenant = event.tenantId ?? '';
    let ofTenant = this.#byTenant.get(tenant);
    if (ofTenant === undefined) this.#byTenant.set(tenant, (ofTenant = { ...newEffect(), plan: event.plan }));
    ofTenant.plan = event.plan;
    const route = proposed.route?.match ?? '*';
    for (const effect of [
      this.#total,
      ofTenant,
      effectOf(this.#byRoute, route),
      effectOf(this.#byPlan, event.plan),
    ]) {
      effect.requests += 1;
      if (wasRefused) effect.refused += 1;
      if (isRefused) effect.refused_proposed += 1;
      if (isRefused && !wasRefused) effect.newly_refused += 1;
      if (wasRefused && !isRefused) effect.newly_allowed += 1;
      effect.cost += cost;
      effect.costProposed += costProposed;
    }
  }

  #addLimits({ decision, limitedBy }: RecordedEvent, proposed: ReplayedDecision): void {
    for (const name of limitedBy) {
      const limit = this.#limitOf(name);
      if (decision === 'limited') limit.refused += 1;
      else limit.shadow += 1;
    }
    for (const name of proposed.limitedBy) {
      const limit = this.#limitOf(name);
      if (proposed.outcome !== 'limited') {
        limit.shadow_proposed += 1;
        continue;
      }
      limit.refused_proposed += 1;
      if (decision !== 'limited') limit.newly_refused += 1;
    }
  }

  #limitOf(name: string): Writable<Omit<LimitEffect, 'limit'>> {
    let limit = this.#byLimit.get(name);
    if (limit === undefined) {
      limit = { refused: 0, refused_proposed: 0, newly_refused: 0, shadow: 0, shadow_proposed: 0 };
      this.#byLimit.set(name, limit);
    }
    return limit;
  }

  #addQuantities({ decision, quantities }: RecordedEvent, { outcome }: ReplayedDecision): void {
    for (const [name, amount] of Object.entries(quantities ?? {})) {
      let sum = this.#quantities.get(name);
      if (sum === undefined) this.#quantities.set(name, (sum = { used: 0n, usedProposed: 0n }));
      if (decision !== 'limited') sum.used += amount;
      if (outcome !== 'limited') sum.usedProposed += amount;
    }
  }

  #compare(event: RecordedEvent, replayed: ReplayedDecision): void {
    const { policyRevision } = event;
    if (event.degraded) this.degraded += 1;
    if (!event.isTimeExact) this.withoutTime += 1;
    const isOther = policyRevision !== '' && policyRevision !== this.#options.inForce.revision;
    if (isOther) this.ofOtherRevisions += 1;
    if (isOther || event.degraded || replayed.kept !== null) return;
    this.#agreement.compared += 1;
    if (agrees(event, replayed)) this.#agreement.agreed += 1;
  }

  agreement(): Agreement {
    const { compared, agreed } = this.#agreement;
    return { compared, agreed, share: compared === 0 ? null : agreed / compared };
  }

  /** The figures of the result. */
  figures(): Omit<
    BacktestResult,
    'from' | 'to' | 'tenant_id' | 'policy_revision' | 'revision_in_force' | 'assumptions' | 'read'
  > {
    const tenants = [...this.#byTenant.values()];
    const { requests, newly_refused, newly_allowed, cost, costProposed } = this.#total;
    return {
      requests,
      recorded: this.#recorded,
      proposed: this.#proposed,
      newly_refused,
      newly_allowed,
      tenants: {
        total: this.#byTenant.size,
        with_newly_refused: tenants.filter((tenant) => tenant.newly_refused > 0).length,
        with_newly_allowed: tenants.filter((tenant) => tenant.newly_allowed > 0).length,
      },
      by_limit: [...this.#byLimit]
        .map(([limit, effect]) => ({ limit, ...effect }))
        .toSorted((a, b) => b.newly_refused - a.newly_refused || b.refused_proposed - a.refused_proposed),
      by_tenant: ranked(this.#byTenant, tenantsMax),
      by_route: ranked(this.#byRoute, routesMax),
      by_plan: ranked(this.#byPlan, routesMax),
      money: {
        currency: this.#options.policy.currency ?? this.#options.inForce.currency,
        cost: jsonMoney(cost),
        cost_proposed: jsonMoney(costProposed),
        ...this.#revenue(),
      },
      quantities: [...this.#quantities].map(([quantity, { used, usedProposed }]) => ({
        quantity,
        used: jsonMoney(used),
        used_proposed: jsonMoney(usedProposed),
      })),
      agreement: this.agreement(),
    };
  }

  #revenue(): Pick<BacktestResult['money'], 'plans' | 'monthly_revenue' | 'monthly_revenue_proposed'> {
    const { policy, inForce } = this.#options;
    const tenantsOf = new Map<string, number>();
    for (const [tenant, { plan }] of this.#byTenant)
      if (tenant !== '') tenantsOf.set(plan, (tenantsOf.get(plan) ?? 0) + 1);
    let [revenue, revenueProposed] = [0n, 0n];
    const plans = [...tenantsOf].map(([plan, tenants]) => {
      const price = priceOf(inForce, plan);
      const proposed = priceOf(policy, plan);
      revenue += (price ?? 0n) * BigInt(tenants);
      revenueProposed += (proposed ?? 0n) * BigInt(tenants);
      return {
        plan,
        tenants,
        price: price === null ? null : jsonMoney(price),
        price_proposed: proposed === null ? null : jsonMoney(proposed),
      };
    });
    return {
      plans,
      monthly_revenue: jsonMoney(revenue),
      monthly_revenue_proposed: jsonMoney(revenueProposed),
    };
  }
}

/** Whether the replay has the recorded decision, by the same limits. */
export function agrees(
  { decision, limitedBy }: Pick<RecordedEvent, 'decision' | 'limitedBy'>,
  replayed: Pick<ReplayedDecision, 'outcome' | 'limitedBy'>,
): boolean {
  return (
    decision === replayed.outcome &&
    limitedBy.length === replayed.limitedBy.length &&
    limitedBy.every((name, index) => name === replayed.limitedBy[index])
  );
}

/** A plan that the policy does not define is replaced by the default plan. */
function priceOf({ plans, defaultPlan }: Policy, plan: string): Money | null {
  return (plans.get(plan) ?? plans.get(defaultPlan))?.price ?? null;
}

function newCounts(): Record<Outcome, number> {
  return { allowed: 0, limited: 0, bypassed: 0, shadow_limited: 0 };
}

function newEffect(): Effect {
  return {
    ...{ requests: 0, refused: 0, refused_proposed: 0, newly_refused: 0, newly_allowed: 0 },
    ...{ cost: 0n, costProposed: 0n },
  };
}

function effectOf(effects: Map<string, Effect>, name: string): Effect {
  let effect = effects.get(name);
  if (effect === undefined) effects.set(name, (effect = newEffect()));
  return effect;
}

/** The groups with the most changed decisions, then those with the most requests. */
function ranked(effects: ReadonlyMap<string, Effect>, most: number): readonly GroupEffect[] {
  const changed = ({ newly_refused: refused, newly_allowed: allowed }: Effect): number => refused + allowed;
  return [...effects]
    .toSorted(([, a], [, b]) => changed(b) - changed(a) || b.requests - a.requests)
    .slice(0, most)
    .map(([name, effect]) => ({
      name,
      requests: effect.requests,
      refused: effect.refused,
      refused_proposed: effect.refused_proposed,
      newly_refused: effect.newly_refused,
      newly_allowed: effect.newly_allowed,
      cost: jsonMoney(effect.cost),
      cost_proposed: jsonMoney(effect.costProposed),
    }));
}
