import { amendEventType } from '../../../shared/domain/events/correction.ts';
import type { CorrectionData, ReservationChange } from '../../../shared/domain/events/correction.ts';
import { addedCost } from '../../../shared/domain/money.ts';
import type { Money } from '../../../shared/domain/money.ts';
import type { UsageSource, Measures } from '../../../shared/domain/usage/measures.ts';
import type { PricedUsage, Pricing } from '../../../shared/domain/usage/prices.ts';
import { decimalAmounts } from '../../../shared/domain/usage/quantity.ts';
import type { Amounts } from '../../../shared/domain/usage/quantity.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import type { RequestData, UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import type { OpenReservation, ReservedCall } from '../reservations/reserved-call.ts';

/** The usage with which a reservation is settled. */
export interface SettledUsage {
  readonly amounts: Amounts;
  /** Cost of the usage by the prices of the policy; null without prices. */
  readonly cost: Money | null;
  readonly measures: Measures;
  readonly source: UsageSource;
}

/** The response to a call, if the gateway itself received it. */
export interface CallResponse {
  readonly status: number;
  readonly latencyMs: number;
}

/** The fields of a request event that describe its reservation. The cost is the one of the reserved amounts. */
export function reservedFields(
  { call, reserve, pricing }: OpenReservation,
  cost: number | string,
): Pick<RequestData, 'model' | 'reservation' | 'cost'> {
  return {
    ...(call.model === null ? {} : { model: call.model }),
    cost: reserve.cost === null ? cost : addedCost(cost, reserve.cost),
    reservation: {
      ...(reserve.id === undefined ? {} : { id: reserve.id }),
      state: 'open',
      reserved: decimalAmounts(pricing.quantities, reserve.amounts),
      expires_at: new Date(call.timeMs + reserve.expiresMs).toISOString(),
    },
  };
}

/** The usage of a call that was not reserved. */
export interface ReportedUsage extends SettledUsage {
  readonly model: string | null;
}

/** The fields of a request event that describe usage that was not reserved. */
export function usageFields(
  { amounts, cost: money, measures, source, model }: ReportedUsage,
  pricing: Pick<Pricing, 'quantities'>,
  cost: number | string,
): Pick<RequestData, 'model' | 'quantities' | 'measures' | 'usage_source' | 'cost'> {
  return {
    ...(model === null ? {} : { model }),
    cost: money === null ? cost : addedCost(cost, money),
    quantities: decimalAmounts(pricing.quantities, amounts),
    measures,
    usage_source: source,
  };
}

/** A change of the call's event. Its id is the same for a repeat of the same change. */
export interface CallChange {
  readonly name: string;
  readonly call: ReservedCall;
  readonly nowMs: number;
  readonly source: string;
}

/** The event that replaces the reserved amounts by the actual ones. */
export function settlementEvent(
  change: CallChange,
  pricing: Pricing,
  number: number,
  { amounts, cost, measures, source }: SettledUsage,
  response: CallResponse | null,
): UsageCloudEvent<CorrectionData> {
  const { unitCost } = change.call;
  return amendEvent(change, {
    ...outcomeOf(response),
    quantities: decimalAmounts(pricing.quantities, amounts),
    cost: cost === null ? unitCost : addedCost(unitCost, cost),
    measures,
    usage_source: source,
    reservation: { state: 'settled', number },
  });
}

function outcomeOf(response: CallResponse | null): Pick<CorrectionData, 'status' | 'latency_ms'> {
  return response === null ? {} : { status: response.status, latency_ms: response.latencyMs };
}

/** The event that returns everything that a call reserved, its units included. */
export function cancellationEvent(
  change: CallChange,
  number: number,
  response: CallResponse | null,
): UsageCloudEvent<CorrectionData> {
  const reservation = { state: 'cancelled' as const, number };
  return amendEvent(change, { ...outcomeOf(response), units: 0, cost: 0, reservation });
}

/** The event that raises the reserved amounts of an open reservation to these amounts. */
export function extensionEvent(
  change: CallChange,
  pricing: Pricing,
  { amounts, cost }: PricedUsage,
): UsageCloudEvent<CorrectionData> {
  const { unitCost } = change.call;
  const reservation: ReservationChange = {
    state: 'open',
    reserved: decimalAmounts(pricing.quantities, amounts),
  };
  return amendEvent(change, { ...(cost === null ? {} : { cost: addedCost(unitCost, cost) }), reservation });
}

function amendEvent(
  { name, call, nowMs, source }: CallChange,
  data: Omit<CorrectionData, 'event_id' | 'event_source' | 'event_time'>,
): UsageCloudEvent<CorrectionData> {
  return {
    specversion: '1.0',
    id: `${name}-${call.decisionId}`,
    source,
    type: amendEventType,
    time: new Date(nowMs).toISOString(),
    subject: call.tenantId ?? anonymousTenant,
    datacontenttype: 'application/json',
    data: {
      event_id: call.decisionId,
      event_source: call.source,
      event_time: new Date(call.timeMs).toISOString(),
      ...data,
    },
  };
}
