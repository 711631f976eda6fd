import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import { statedMoney } from '../../../shared/domain/money.ts';
import { changeUsage } from './change-usage.ts';
import type { CorrectableEvents } from './correctable-events.ts';
import type { Correction } from '../events/decode.ts';
import { isGatewaySource } from '../../../shared/domain/usage-event.ts';
import type { StoredEvent } from '../events/stored-event.ts';

export type CorrectionOutcome =
  | { readonly kind: 'corrected'; readonly event: StoredEvent }
  /** A later correction of the same event is already stored, or a later settlement of its reservation. */
  | { readonly kind: 'superseded' }
  /** The log has no such event before the correction. */
  | { readonly kind: 'unknown'; readonly reason: string }
  | { readonly kind: 'rejected'; readonly reason: string };

const propertiesMax = eventBounds.propertiesMax + eventBounds.extensionsMax;

/**
 * Returns the named event with the correction applied. Its revision is the offset of the correction plus one. So the
 * last of several corrections in the log counts, and a correction that is read again is either superseded or writes the
 * same row.
 */
export function applyCorrection(
  correction: Correction,
  events: CorrectableEvents,
  /** True if the correction has waited for its event, which is later in the log. */
  hasWaited = false,
): CorrectionOutcome {
  const event = events.find(correction);
  const revision = correction.place.offset + 1;
  // A correction changes an event that is later in the log only when that event is read, directly after it. If the
  // correction is read again, by any consumer of the group, the outcome must be the same as the first time.
  const isLater = event !== null && event.revision < revision && isAfter(event, correction);
  if (event === null || (isLater && !hasWaited)) {
    return { kind: 'unknown', reason: `the event to correct, ${correction.data.event_id}, does not exist` };
  }
  if (event.revision > revision) return { kind: 'superseded' };
  if (correction.voids) {
    return { kind: 'corrected', event: { ...event, revision, usageRevision: revision, voided: true } };
  }
  return amended(event, correction, revision);
}

function amended(event: StoredEvent, correction: Correction, revision: number): CorrectionOutcome {
  const { data, usage: change } = correction;
  const usage = change === null ? event.usage : changeUsage(event.usage, change);
  if (usage === null) return { kind: 'superseded' };
  const { units = event.units, status = event.status, latency_ms: latencyMs = event.latencyMs } = data;
  const cost = data.cost === undefined ? event.cost : (statedMoney(data.cost) ?? event.cost);
  const properties = { ...event.properties, ...data.properties };
  if (Object.keys(properties).length > propertiesMax) {
    return {
      kind: 'rejected',
      reason: `the corrected event would have more than ${propertiesMax} properties`,
    };
  }
  // A gateway corrects the outcome (status, latency) of a request, settles a call or gives units back. That does not change
  // whether a request counts: only another correction of usage restores a voided event. A gateway changes Redis too, so its
  // corrections are no corrections of usage for the loss audit either.
  const isUsage =
    !isGatewaySource(correction.source) &&
    (data.units !== undefined || data.cost !== undefined || Object.keys(data.properties).length > 0);
  const voided = event.voided && !isUsage;
  const usageRevision = isUsage ? revision : event.usageRevision;
  // Equal revisions: the correction was applied before, perhaps without deriving the totals of the former group.
  const isRegrouped =
    usage.model !== event.usage.model || (event.revision === revision && change?.model !== undefined);
  return {
    kind: 'corrected',
    event: {
      ...event,
      ...(isRegrouped ? { isRegrouped } : {}),
      revision,
      usageRevision,
      voided,
      units,
      cost,
      status,
      latencyMs,
      properties,
      usage,
    },
  };
}

function isAfter(event: StoredEvent, { place }: Correction): boolean {
  return event.partition === place.partition && event.offset > place.offset;
}
