/**
 * Bounds of a usage event. Lengths are UTF-16 units. docs/events.md lists the bounds, and a test compares them.
 *
 * Sums of `units` are Float64. An event has at most 10¹² units: whole numbers stay exact up to a total of 2⁵³ (9 × 10¹⁵), and
 * no number of events comes near the largest Float64 (1.8 × 10³⁰⁸). Sums of `cost` are decimals with 26 digits before the
 * decimal point and 12 after it. An event has at most 10⁹ of money: 10¹⁷ events of that size fit. Meters sum properties
 * that are numbers, so these have a bound too: 2⁶⁴, the range of 64-bit integers.
 */
export const eventBounds = {
  /** `id`, `source`, `subject`, `data.user_id`, `data.plan`: as `idLengthMax` of identity.ts. */
  idLengthMax: 256,
  typeLengthMax: 128,
  /** `data.method` of requests: `isMethod` accepts no longer method. */
  methodLengthMax: 32,
  routeLengthMax: 512,
  pathLengthMax: 512,
  unitsMax: 1_000_000_000_000,
  costMax: 1_000_000_000,
  propertyNumberMax: 2 ** 64,
  /** 366 days. */
  latencyMsMax: 366 * 86_400_000,
  /** Names of limits in `limited_by`. */
  limitsMax: 64,
  propertiesMax: 64,
  propertyNameLengthMax: 128,
  propertyLengthMax: 4_096,
  extensionsMax: 32,
  extensionNameLengthMax: 64,
  /** Nesting depth of objects and arrays, the event itself included. */
  depthMax: 32,
  /** JSON of one event accepted over HTTP, as it is written to Kafka. */
  publishedBytesMax: 128 * 1024,
  /** One record of the usage topic: more than `publishedBytesMax`, because the spool adds two attributes. */
  storedBytesMax: 256 * 1024,
  /** Events of one batch. */
  batchEventsMax: 1_000,
} as const;

/** Largest difference between the time of an event and the present. */
export interface TimeBounds {
  readonly lateMsMax: number;
  readonly aheadMsMax: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const publishedLateMsMax = 365 * dayMs;
const publishedAheadMsMax = 10 * minuteMs;
/** Largest difference between the clocks of two machines. */
const clockSkewMsMax = 50 * minuteMs;
/** Longest time that an accepted event waits in a spool and in Kafka: the retention of the topic (7 days) plus a day. */
const waitMsMax = 8 * dayMs;

/**
 * Times of events that the aggregator stores, checked when it decodes. The bound ends a day before raw events expire,
 * because recomputing a partly expired minute would lower its total.
 */
export function storedTimeBounds(rawRetentionDays: number): TimeBounds {
  return {
    lateMsMax: (rawRetentionDays - 1) * dayMs,
    aheadMsMax: publishedAheadMsMax + clockSkewMsMax,
  };
}

/**
 * Times of events that are accepted over HTTP, checked on arrival. The bound is tighter than the aggregator's by the time
 * that an event may wait on its path, so that waiting never turns an accepted event into a dead letter.
 */
export function publishedTimeBounds(rawRetentionDays: number): TimeBounds {
  const { lateMsMax } = storedTimeBounds(rawRetentionDays);
  return {
    lateMsMax: Math.min(publishedLateMsMax, lateMsMax - Math.min(waitMsMax, lateMsMax / 2)),
    aheadMsMax: publishedAheadMsMax,
  };
}
