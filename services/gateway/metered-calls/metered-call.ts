import type { ChargeRule } from '../../../shared/domain/limit.ts';
import type { Measures } from '../../../shared/domain/usage/measures.ts';
import { amountsOf } from '../../../shared/domain/usage/prices.ts';
import type { PricedUsage } from '../../../shared/domain/usage/prices.ts';
import type { Amounts } from '../../../shared/domain/usage/quantity.ts';
import type { UsageReading } from '../../../shared/domain/usage/usage-reading.ts';
import { chargeRuleOf } from '../../../shared/policy/match.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { passes } from '../enforcer/verdict.ts';
import type { Verdict } from '../enforcer/verdict.ts';
import { runningStatus } from '../metering/meter.ts';
import type { OpenReservation } from '../reservations/reserved-call.ts';
import type { CallUsage } from '../usage/call-usage.ts';
import type { PreparedCall } from '../usage/prepared-call.ts';

export interface MeteredCallOptions {
  readonly enforcer: Enforcer;
  readonly entrypoint: string;
  readonly prepared: PreparedCall;
  readonly usage: UsageReading;
  /** The measures that were reserved before the call. */
  readonly reserved: Measures;
}

/**
 * A call whose usage the gateway reads: its event is written before the call is forwarded, and its reservation is
 * settled once, when the response has ended.
 */
export class MeteredCall {
  readonly prepared: PreparedCall;
  readonly usage: UsageReading;
  readonly #enforcer: Enforcer;
  readonly #entrypoint: string;
  readonly #startedAt = performance.now();
  /** The measures that are reserved now. */
  reserved: Measures;
  #reservation: OpenReservation | null = null;
  #chargeRule: ChargeRule | null = null;
  #isSettled = false;

  constructor({ enforcer, entrypoint, prepared, usage, reserved }: MeteredCallOptions) {
    this.#enforcer = enforcer;
    this.#entrypoint = entrypoint;
    this.prepared = prepared;
    this.usage = usage;
    this.reserved = reserved;
  }

  /**
   * Writes the event of the call. Resolves when the event is durable: only then may the call be forwarded, so that a
   * call of a process that is killed has an event. Never rejects.
   */
  open(verdict: Verdict): Promise<void> {
    if (!passes(verdict)) return Promise.resolve();
    this.#reservation = verdict.reservation;
    this.#chargeRule = chargeRuleOf(verdict.plan, verdict.route);
    return this.#enforcer.meter(verdict, {
      status: runningStatus,
      latencyMs: 0,
      entrypoint: this.#entrypoint,
    });
  }

  /** Reserves up to these measures. Returns false if a limit has no room for them. Never rejects. */
  async extend(measures: Measures): Promise<boolean> {
    const reservation = this.#reservation;
    if (reservation === null) return true;
    const before = pricedOf(reservation, this.reserved);
    const after = pricedOf(reservation, measures);
    const added = difference(after.amounts, before.amounts);
    const { passed } = await this.#enforcer.reservations.extend(reservation, added, after.cost);
    if (passed) this.reserved = measures;
    return passed;
  }

  /**
   * Settles the reservation with the usage of the response, or cancels it if the policy does not charge this status. Only the
   * first call has an effect. Never rejects.
   */
  async settle(usage: CallUsage, status: number): Promise<void> {
    const reservation = this.#reservation;
    if (reservation === null || this.#isSettled) return;
    this.#isSettled = true;
    const { reservations, metrics, logger } = this.#enforcer;
    metrics.countResponse(this.#entrypoint, status);
    metrics.countUsage(usage);
    const settled = {
      ...pricedOf(reservation, usage.measures),
      measures: usage.measures,
      source: usage.source,
    };
    const response = { status, latencyMs: performance.now() - this.#startedAt };
    const change =
      this.#chargeRule?.unlessStatus.has(status) === true
        ? reservations.cancel(reservation, response)
        : reservations.settle(reservation, settled, response);
    await change.catch((error: unknown) => {
      const decision = reservation.call.decisionId;
      logger.error({ err: error, decision }, `a call could not be settled: ${messageOf(error)}`);
    });
  }

  /**
   * Settles a call without a response. If the upstream may have processed it, its estimate is charged; a call that was
   * never sent has consumed nothing.
   */
  settleFailed(wasSent: boolean, status: number): Promise<void> {
    const { estimate } = this.prepared;
    const measures = wasSent ? estimate : zeros(estimate);
    const { model } = this.prepared;
    return this.settle(
      { measures, source: 'estimated', model, servedModel: null, violations: ['no_report'] },
      status,
    );
  }
}

/** Amounts and cost of measures, by the prices at the time of the decision, which had a price for the model. */
function pricedOf({ pricing, call, reserve }: OpenReservation, measures: Measures): PricedUsage {
  return amountsOf(pricing, call.model, measures) ?? { amounts: reserve.amounts, cost: reserve.cost };
}

function zeros(measures: Measures): Measures {
  return Object.fromEntries(Object.keys(measures).map((name) => [name, 0]));
}

function difference(after: Amounts, before: Amounts): Amounts {
  const amounts: Record<string, number> = {};
  for (const [name, amount] of Object.entries(after))
    amounts[name] = Math.max(0, amount - (before[name] ?? 0));
  return amounts;
}
