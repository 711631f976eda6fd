import type { Outcome } from '../domain/decision.ts';
import type { Assumption } from './assumptions.ts';

export type OutcomeCounts = Readonly<Record<Outcome, number>>;

/** Effect of the proposed policy on the requests of a tenant, a route or a plan. Costs are decimals of the policy's currency. */
export interface GroupEffect {
  readonly name: string;
  readonly requests: number;
  /** Requests that were refused, and that would be refused. */
  readonly refused: number;
  readonly refused_proposed: number;
  /** Requests that passed and would be refused. */
  readonly newly_refused: number;
  /** Requests that were refused and would pass. */
  readonly newly_allowed: number;
  readonly cost: number;
  readonly cost_proposed: number;
}

/** Requests over a limit, by its name. A request may be over several limits. */
export interface LimitEffect {
  readonly limit: string;
  readonly refused: number;
  readonly refused_proposed: number;
  /** Of the refusals of the proposed policy: those of requests that passed. */
  readonly newly_refused: number;
  /** Requests that were over the limit, and would be, while it is in shadow mode. */
  readonly shadow: number;
  readonly shadow_proposed: number;
}

export interface PlanRevenue {
  readonly plan: string;
  /** Tenants with requests in the range whose last request had this plan. */
  readonly tenants: number;
  /** Price of the plan for a month; null: the policy states none. */
  readonly price: number | null;
  readonly price_proposed: number | null;
}

/** How exactly the replay reproduces the record: the policy in force, replayed and compared event by event. */
export interface Agreement {
  /** Requests that the policy in force had decided, with Redis, by its limits. */
  readonly compared: number;
  /** Of these: the replay has the same decision and the same limits. */
  readonly agreed: number;
  /** `agreed / compared`; null if nothing was compared. */
  readonly share: number | null;
}

export interface BacktestResult {
  readonly from: string;
  readonly to: string;
  /** Null: all tenants. */
  readonly tenant_id: string | null;
  readonly policy_revision: string;
  readonly revision_in_force: string;
  readonly requests: number;
  readonly recorded: OutcomeCounts;
  readonly proposed: OutcomeCounts;
  readonly newly_refused: number;
  readonly newly_allowed: number;
  readonly tenants: {
    readonly total: number;
    readonly with_newly_refused: number;
    readonly with_newly_allowed: number;
  };
  readonly by_limit: readonly LimitEffect[];
  /** The tenants with the most changed decisions. */
  readonly by_tenant: readonly GroupEffect[];
  readonly by_route: readonly GroupEffect[];
  readonly by_plan: readonly GroupEffect[];
  readonly money: {
    readonly currency: string | null;
    /** Cost of the requests that passed. */
    readonly cost: number;
    readonly cost_proposed: number;
    readonly plans: readonly PlanRevenue[];
    /** Sum of the prices of the plans of all tenants with requests; tenants of plans without a price count as 0. */
    readonly monthly_revenue: number;
    readonly monthly_revenue_proposed: number;
  };
  /** Amounts of calls that passed, by quantity, in its own unit. */
  readonly quantities: readonly {
    readonly quantity: string;
    readonly used: number;
    readonly used_proposed: number;
  }[];
  readonly agreement: Agreement;
  /** Where the result is not exact, and why. */
  readonly assumptions: readonly Assumption[];
  readonly read: {
    readonly events: number;
    readonly warm_up_events: number;
    readonly warm_up_groups: number;
    readonly seconds: number;
  };
}
