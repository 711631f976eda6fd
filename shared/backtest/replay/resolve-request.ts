import type { RecordedEvent } from '../../clickhouse/queries/recorded/recorded-events.ts';
import type { Limit } from '../../domain/limit.ts';
import type { Plan, Policy, Route } from '../../domain/policy.ts';
import { calendarOf } from '../../domain/quota.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { limitsFor } from '../../policy/match.ts';
import type { Caller } from '../../redis/decision/subjects.ts';
import { shapeOf } from '../../redis/decision/windows.ts';
import type { Shape } from '../../redis/decision/windows.ts';
import { unitsUnder } from './amounts.ts';
import { isEvaluable, recordedAttributes } from './kept-decisions.ts';
import type { RecordedRoutes } from './recorded-routes.ts';

/** The inputs of a decision about a recorded request, as `resolveInputs` of the gateway finds them for a new one. */
export interface ResolvedRequest {
  readonly caller: Caller;
  readonly plan: Plan;
  readonly units: number;
  /** The windows of the limits that can be evaluated. */
  readonly shape: Shape;
  /** The concurrent limits, if the request holds a permit. */
  readonly concurrent: readonly Limit[];
  /** Names of the limits that count attributes which the event does not have. */
  readonly unevaluated: ReadonlySet<string>;
}

export interface RequestResolverOptions {
  readonly policy: Policy;
  readonly recordOf: (tenantId: string) => TenantRecord | null;
  /** The routes of the policy by which the requests were charged. */
  readonly recordedRoutes: Pick<RecordedRoutes, 'named'>;
}

/** The limits that apply to a request, divided by how they are evaluated. */
interface DividedLimits {
  readonly windows: readonly Limit[];
  readonly concurrent: readonly Limit[];
  readonly unevaluated: ReadonlySet<string>;
}

/** Entrypoints whose requests pass through the gateway or the application, so that they hold a permit until they end. */
const holdingEntrypoints: ReadonlySet<string> = new Set(['proxy', 'plugin', 'middleware', 'websocket']);
const noLimits: readonly Limit[] = [];

export class RequestResolver {
  readonly #options: RequestResolverOptions;
  readonly #withoutPlan = new WeakMap<TenantRecord, TenantRecord>();
  readonly #divided = new WeakMap<readonly Limit[], DividedLimits>();

  constructor(options: RequestResolverOptions) {
    this.#options = options;
  }

  resolve(event: RecordedEvent, route: Route | null): ResolvedRequest {
    const { policy, recordOf, recordedRoutes } = this.#options;
    const { tenantId, userId, ip } = event;
    const record = tenantId === null ? null : recordOf(tenantId);
    const { plan, limits } = limitsFor(policy, {
      plan: event.plan === '' ? null : event.plan,
      record: this.#recordWithoutPlan(record),
      route,
      nowMs: event.timeMs,
      reserve: event.reserved !== null,
    });
    const { windows, concurrent, unevaluated } = this.#divide(limits);
    const attributes = recordedAttributes(event, policy);
    return {
      caller: { tenantId, userId, ip, groupId: record?.group ?? null, attributes },
      plan,
      units: unitsUnder(event, route, recordedRoutes.named(event.route)),
      shape: shapeOf(windows, tenantId !== null, userId !== null, calendarOf(record) ?? 'UTC'),
      concurrent: holdingEntrypoints.has(event.entrypoint) ? concurrent : noLimits,
      unevaluated,
    };
  }

  /** The event states the plan of its time. Without it, today's plan in the record would have precedence. */
  #recordWithoutPlan(record: TenantRecord | null): TenantRecord | null {
    if (record?.plan === undefined) return record;
    let without = this.#withoutPlan.get(record);
    if (without === undefined) {
      const others: { -readonly [Key in keyof TenantRecord]: TenantRecord[Key] } = { ...record };
      delete others.plan;
      this.#withoutPlan.set(record, (without = others));
    }
    return without;
  }

  /** The same array of limits gives the same arrays, because their shapes are cached by them. */
  #divide(limits: readonly Limit[]): DividedLimits {
    let divided = this.#divided.get(limits);
    if (divided === undefined) {
      const { policy } = this.#options;
      const evaluable = limits.filter((limit) => isEvaluable(limit, policy));
      divided = {
        windows: evaluable,
        concurrent: [...policy.shares, ...policy.platform, ...evaluable].filter(
          ({ type }) => type === 'concurrent',
        ),
        unevaluated: new Set(limits.filter((limit) => !evaluable.includes(limit)).map(({ name }) => name)),
      };
      this.#divided.set(limits, divided);
    }
    return divided;
  }
}
