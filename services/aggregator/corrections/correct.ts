import { eventBounds } from '../../../shared/domain/events/bounds.ts';
import { statedMoney } from '../../../shared/domain/money.ts';
import type { CorrectableEvents } from './correctable-events.ts';
import type { Correction } from '../events/decode.ts';
import type { StoredEvent } from '../events/stored-event.ts';

export type CorrectionOutcome =
  | { readonly kind: 'corrected'; readonly event: StoredEvent }
  /** A later correction of the same event is stored already. */
  | { readonly kind: 'superseded' }
  | { readonly kind: 'rejected'; readonly reason: string };

const propertiesMax = eventBounds.propertiesMax + eventBounds.extensionsMax;

/**
 * The named event as it is after the correction. Its revision is the correction's offset plus one, so that of several
 * the last in the log holds, and a correction that is read again finds itself superseded or writes the same row.
 */
export function applyCorrection(correction: Correction, events: CorrectableEvents): CorrectionOutcome {
  const event = events.find(correction);
  const revision = correction.place.offset + 1;
  // What stands behind the correction in the log was not there to be corrected: read again, or by a zombie, the same
  // correction has to come to the same end.
  const isLater = event !== null && event.revision < revision && standsBehind(event, correction);
  if (event === null || isLater) {
    return { kind: 'rejected', reason: `the event to correct, ${correction.data.event_id}, is not known` };
  }
  if (event.revision > revision) return { kind: 'superseded' };
  if (correction.voids) {
    return { kind: 'corrected', event: { ...event, revision, usageRevision: revision, voided: true } };
  }
  return amended(event, correction, revision);
}

function amended(event: StoredEvent, { data }: Correction, revision: number): CorrectionOutcome {
  const { units = event.units, status = event.status, latency_ms: latencyMs = event.latencyMs } = data;
  const cost = data.cost === undefined ? event.cost : (statedMoney(data.cost) ?? event.cost);
  const properties = { ...event.properties, ...data.properties };
  if (Object.keys(properties).length > propertiesMax) {
    return {
      kind: 'rejected',
      reason: `the corrected event would have more than ${propertiesMax} properties`,
    };
  }
  // What became of a request says nothing about whether it counts: only new usage brings a voided event back.
  const isUsage =
    data.units !== undefined || data.cost !== undefined || Object.keys(data.properties).length > 0;
  const voided = event.voided && !isUsage;
  const usageRevision = isUsage ? revision : event.usageRevision;
  return {
    kind: 'corrected',
    event: { ...event, revision, usageRevision, voided, units, cost, status, latencyMs, properties },
  };
}

function standsBehind(event: StoredEvent, { place }: Correction): boolean {
  return event.partition === place.partition && event.offset > place.offset;
}
