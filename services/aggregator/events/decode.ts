import {
  correctionKey,
  externalIdentity,
  externalKey,
  requestIdentity,
} from '../../../shared/clickhouse/queries/event-identity.ts';
import { rawRetentionDaysDefault } from '../../../shared/clickhouse/migrate.ts';
import { voidEventType } from '../../../shared/domain/events/correction.ts';
import { eventBounds, storedTimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { TimeBounds } from '../../../shared/domain/events/bounds.ts';
import type { CallUsageChange } from '../../../shared/domain/events/call-usage.ts';
import type { CorrectionFields } from '../../../shared/domain/events/correction-fields.ts';
import { readEvent } from '../../../shared/domain/events/read-event.ts';
import { eventOf } from '../../../shared/domain/topics/cloud-event.ts';
import type { EventRecord } from '../../../shared/domain/topics/cloud-event.ts';
import { isResent } from '../../../shared/domain/topics/resent-record.ts';
import { isGatewaySource } from '../../../shared/domain/usage-event.ts';
import type { StoredEvent } from './stored-event.ts';

/** One record of the usage topic. */
export interface LogRecord extends EventRecord {
  readonly partition: number;
  readonly offset: number;
}

export type Decoded =
  /** A request. Its id contains its time, so it can be stored without a lookup. */
  | { readonly kind: 'request'; readonly event: StoredEvent }
  /** An event of an external producer. `key` identifies the first place of its id in the log. */
  | { readonly kind: 'external'; readonly event: StoredEvent; readonly key: string }
  | { readonly kind: 'correction'; readonly correction: Correction }
  | { readonly kind: 'dead'; readonly reason: string };

export interface Correction {
  readonly tenantId: string;
  readonly source: string;
  readonly voids: boolean;
  readonly data: CorrectionFields;
  /** Null if the correction does not change the usage of a call to an upstream. */
  readonly usage: CallUsageChange | null;
  readonly place: StoredCorrection;
  /** True if the log may contain an earlier copy of the correction. */
  readonly isResent: boolean;
}

/** One row of `stored_corrections`. */
export interface CorrectionPlace {
  readonly timeMs: number;
  readonly spool: string;
  readonly sequence: number;
  readonly partition: number;
  readonly offset: number;
}

/** A correction as it is stored after it was handled. */
export interface StoredCorrection extends CorrectionPlace {
  /** The key of its id in `stored_ids`; null for a correction of a gateway, which is identified by its spool run and sequence. */
  readonly key: string | null;
}

export const decodeBoundsDefault: TimeBounds = storedTimeBounds(rawRetentionDaysDefault);

/**
 * Decodes one record according to the contract of events. Never throws: a record that is no valid event becomes `dead`,
 * with a reason that an operator can act on.
 */
export function decode(record: LogRecord, nowMs: number, bounds: TimeBounds): Decoded {
  const bytes = record.value?.length ?? 0;
  if (bytes > eventBounds.storedBytesMax) {
    return { kind: 'dead', reason: `the event has ${bytes} bytes, more than ${eventBounds.storedBytesMax}` };
  }
  const found = eventOf(record);
  if ('violation' in found) return { kind: 'dead', reason: found.violation };
  const reading = readEvent(found.event, nowMs, bounds);
  if (reading.kind === 'rejected') return { kind: 'dead', reason: reading.reason };
  const { id, source, type, tenantId, timeMs, spool } = reading.head;
  const place = { partition: record.partition, offset: record.offset };
  if (reading.kind === 'correction') {
    const voids = type === voidEventType;
    const key = isGatewaySource(source) ? null : correctionKey(tenantId, source, id);
    return {
      kind: 'correction',
      correction: {
        tenantId,
        source,
        voids,
        data: reading.correction,
        usage: reading.usage,
        place: { timeMs, spool, sequence: reading.sequence, ...place, key },
        // Only a spool run and a sequence number identify the copies of a correction.
        isResent: spool !== '' && isResent(record),
      },
    };
  }
  const head = { timeMs, tenantId, revision: 0, usageRevision: 0, voided: false, type, spool, ...place };
  if (reading.kind === 'request') {
    const identity = requestIdentity(id, timeMs) ?? externalIdentity(tenantId, source, id);
    const { fields } = reading;
    const shortSource = source === `tollgate/${fields.node}` ? '' : source;
    return { kind: 'request', event: { ...head, ...identity, ...fields, source: shortSource } };
  }
  const identity = externalIdentity(tenantId, source, id);
  const event = { ...head, ...identity, ...reading.fields, source };
  return { kind: 'external', event, key: externalKey(tenantId, source, id) };
}
