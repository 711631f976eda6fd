import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { mapInSlices } from '../../../shared/runtime/map-in-slices.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { EventLog } from '../metering/meter.ts';
import { acceptEvent } from './accept-event.ts';
import type { Publisher } from './accept-event.ts';
import type { EventGroups } from './event-groups.ts';
import type { Member } from './http-binding.ts';

/** Result of the validation of one event of a request, before any event is written. */
export type Judgement =
  | { readonly kind: 'accepted'; readonly id: string; readonly event: UsageCloudEvent }
  /** An earlier event of the same request has the same subject, source and id. */
  | { readonly kind: 'duplicate'; readonly id: string }
  | { readonly kind: 'rejected'; readonly id: string | null; readonly reason: string };

export interface EventResult {
  readonly id: string | null;
  readonly status: 'accepted' | 'duplicate' | 'rejected' | 'unavailable';
  readonly reason?: string;
}

/** Maximum number of events of a request that are validated in one event-loop iteration; this takes about 2 ms. */
const sliceEventsMax = 100;

/** Validates each event of a request separately: a rejected event does not affect the others. */
export function judgeEvents(
  members: readonly Member[],
  publisher: Publisher,
  groups: EventGroups,
): Promise<Judgement[]> {
  const seen = new Set<string>();
  return mapInSlices(members, sliceEventsMax, (member): Judgement => {
    if ('violation' in member) return { kind: 'rejected', id: null, reason: member.violation };
    const acceptance = acceptEvent(member.event, publisher);
    if ('violation' in acceptance) {
      return { kind: 'rejected', id: idOf(member.event['id']), reason: acceptance.violation };
    }
    const { event } = acceptance;
    const identity = JSON.stringify([event.subject, event.source, event.id]);
    if (seen.has(identity)) return { kind: 'duplicate', id: event.id };
    const violation = isCorrection(event) ? null : groups.add(event, publisher.nowMs);
    if (violation !== null) return { kind: 'rejected', id: event.id, reason: violation };
    seen.add(identity);
    return { kind: 'accepted', id: event.id, event };
  });
}

/** A correction changes an event that is already counted, so it adds no group. */
function isCorrection({ type }: UsageCloudEvent): boolean {
  return type === amendEventType || type === voidEventType;
}

const idCharactersMax = 256;

function idOf(id: unknown): string | null {
  return typeof id === 'string' ? id.slice(0, idCharactersMax).toWellFormed() : null;
}

/**
 * Writes the accepted events to the spool. Resolves when they survive a crash of this process. If an append fails, this
 * event and all later events are `unavailable`, because a later event may be a duplicate of the failed one.
 */
export async function writeEvents(
  judgements: readonly Judgement[],
  events: EventLog,
  logger: Logger,
): Promise<EventResult[]> {
  let failed = false;
  const results = await mapInSlices(judgements, sliceEventsMax, (judgement): EventResult => {
    const { kind, id } = judgement;
    if (kind === 'rejected') return { id, status: 'rejected', reason: judgement.reason };
    if (kind === 'accepted' && !append(judgement.event)) failed = true;
    if (failed) return { id, status: 'unavailable', reason: 'the event could not be stored now' };
    return kind === 'accepted'
      ? { id, status: 'accepted' }
      : { id, status: 'duplicate', reason: 'the same source and id stand earlier in this batch' };
  });
  await events.flushed();
  return results;

  function append(event: UsageCloudEvent): boolean {
    try {
      events.append(() => event);
      return true;
    } catch (error) {
      logger.error({ err: error }, `published event not written to the spool: ${messageOf(error)}`);
      return false;
    }
  }
}
