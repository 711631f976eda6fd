import { amountMax } from '../usage/quantity.ts';

/**
 * Bounds of a usage event. Lengths are in UTF-16 code units. docs/events.md lists the bounds, and a test compares the
 * list with this file.
 *
 * Sums of `units` are Float64. An event has at most 10¹² units. Whole numbers stay exact up to a total of 2⁵³ (9 ×
 * 10¹⁵), and no possible number of events reaches the largest Float64 (1.8 × 10³⁰⁸). Sums of `cost` are decimals with
 * 26 digits before the decimal point and 12 after it. An event costs at most 10⁹, so 10¹⁷ events of that cost fit
 * into a sum. Meters add up numeric properties, which are therefore bounded too: by 2⁶⁴, the range of 64-bit
 * integers.
 */
export const eventBounds = {
  /** Longest `id`, `source`, `subject`, `data.user_id` and `data.plan`; equal to `idLengthMax` of identity.ts. */
  idLengthMax: 256,
  typeLengthMax: 128,
  /** Longest `data.method` of a request, and longest method that `isMethod` accepts. */
  methodLengthMax: 32,
  routeLengthMax: 512,
  pathLengthMax: 512,
  unitsMax: 1_000_000_000_000,
  costMax: 1_000_000_000,
  propertyNumberMax: 2 ** 64,
  /** 366 days. */
  latencyMsMax: 366 * 86_400_000,
  /** Maximum number of names of limits in `limited_by`. */
  limitsMax: 64,
  policyRevisionLengthMax: 64,
  /** Largest difference between the clocks of Redis and of a gateway that an event states: half an hour. */
  decidedAfterMicrosMax: 1_800_000_000,
  modelLengthMax: 128,
  /** Maximum number of names in `quantities`, `measures` and `reservation.reserved`. */
  quantitiesMax: 32,
  /**
   * Largest amount of a quantity, in the unit of the quantity. A gateway charges no more (`amountMax`), whatever the
   * decimals of the quantity. 10¹¹ events of this amount fit into a sum.
   */
  quantityMax: amountMax,
  /** Latest end of a reservation after the time of its event: 31 days. */
  reservationMsMax: 31 * 86_400_000,
  /** Maximum number of settlements of a reservation. */
  settlementsMax: 65_535,
  propertiesMax: 64,
  propertyNameLengthMax: 128,
  propertyLengthMax: 4_096,
  extensionsMax: 32,
  extensionNameLengthMax: 64,
  /** Deepest nesting of objects and arrays. The event itself is the first level. */
  depthMax: 32,
  /** Largest event accepted over HTTP: bytes of its JSON as written to Kafka. */
  publishedBytesMax: 128 * 1024,
  /** Largest record of the usage topic. Larger than `publishedBytesMax`, because the spool adds two attributes. */
  storedBytesMax: 256 * 1024,
  /** Maximum number of events in one batch. */
  batchEventsMax: 1_000,
} as const;

/** How far the time of an event may be in the past and in the future. */
export interface TimeBounds {
  readonly lateMsMax: number;
  readonly aheadMsMax: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const publishedLateMsMax = 365 * dayMs;
const publishedAheadMsMax = 10 * minuteMs;
/** Largest assumed difference between the clocks of two machines. */
const clockSkewMsMax = 50 * minuteMs;
/**
 * Longest assumed time between the acceptance of an event and its storage (waiting in a spool and in Kafka): the
 * retention of the topic (7 days) plus a day.
 */
const waitMsMax = 8 * dayMs;

/**
 * Bounds of the times of events that the aggregator stores; it checks them when it decodes an event. An event may be as old as the retention of raw events minus a day, because recomputing a partly expired minute would lower
 * its total.
 */
export function storedTimeBounds(rawRetentionDays: number): TimeBounds {
  return {
    lateMsMax: (rawRetentionDays - 1) * dayMs,
    aheadMsMax: publishedAheadMsMax + clockSkewMsMax,
  };
}

/**
 * Bounds of the times of events accepted over HTTP, checked when the request arrives. They are narrower than the
 * aggregator's by the longest wait and the largest clock difference, so that an accepted event never becomes a dead
 * letter because it waited.
 */
export function publishedTimeBounds(rawRetentionDays: number): TimeBounds {
  const { lateMsMax } = storedTimeBounds(rawRetentionDays);
  return {
    lateMsMax: Math.min(publishedLateMsMax, lateMsMax - Math.min(waitMsMax, lateMsMax / 2)),
    aheadMsMax: publishedAheadMsMax,
  };
}
