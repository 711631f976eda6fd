/**
 * Bounds of a usage event. Lengths are UTF-16 units. docs/events.md lists them, and a test compares.
 *
 * Sums of `units` are Float64. At most 10¹² units an event: whole numbers stay exact up to a total of 2⁵³ (9 × 10¹⁵), and
 * no number of events comes near the largest Float64 (1.8 × 10³⁰⁸). Sums of `cost` are decimals of 26 digits before the
 * point and 12 behind it. At most 10⁹ of money an event: 10¹⁷ events of that size fit. A property that is a number is summed by meters, so it has a bound
 * too: 2⁶⁴, the range of the integers that producers have.
 */
export const eventBounds = {
  /** `id`, `source`, `subject`, `data.user_id`, `data.plan`: as `idLengthMax` of identity.ts. */
  idLengthMax: 256,
  typeLengthMax: 128,
  /** `data.method` of requests: `isMethod` takes no longer one. */
  methodLengthMax: 32,
  routeLengthMax: 512,
  pathLengthMax: 512,
  unitsMax: 1_000_000_000_000,
  costMax: 1_000_000_000,
  propertyNumberMax: 2 ** 64,
  /** A request that lasts longer than this does not exist: 366 days. */
  latencyMsMax: 366 * 86_400_000,
  /** Names of limits in `limited_by`. */
  limitsMax: 64,
  propertiesMax: 64,
  propertyNameLengthMax: 128,
  propertyLengthMax: 4_096,
  extensionsMax: 32,
  extensionNameLengthMax: 64,
  /** Objects and lists inside each other, the event itself included. */
  depthMax: 32,
  /** One event as it is accepted by HTTP: the JSON that goes to Kafka. */
  publishedBytesMax: 128 * 1024,
  /** One record of the usage topic. More than is published, as a spool adds two attributes. */
  storedBytesMax: 256 * 1024,
  /** Events of one batch. */
  batchEventsMax: 1_000,
} as const;

/** How far from now the time of an event may be. */
export interface TimeBounds {
  readonly lateMsMax: number;
  readonly aheadMsMax: number;
}

const minuteMs = 60_000;
const dayMs = 86_400_000;
const publishedLateMsMax = 365 * dayMs;
const publishedAheadMsMax = 10 * minuteMs;
/** What the clocks of two machines may differ by. */
const clockSkewMsMax = 50 * minuteMs;
/** How long an accepted event may wait in a spool and in Kafka: the topic's retention (7 days) and a day. */
const waitMsMax = 8 * dayMs;

/**
 * What the aggregator stores, judged when it decodes. A minute whose raw events are partly gone must never be computed
 * again from those left, so this ends a day before they expire, however long the event waited.
 */
export function storedTimeBounds(rawRetentionDays: number): TimeBounds {
  return {
    lateMsMax: (rawRetentionDays - 1) * dayMs,
    aheadMsMax: publishedAheadMsMax + clockSkewMsMax,
  };
}

/**
 * What is accepted by HTTP, judged on arrival: earlier than the aggregator's end by the time an event may wait on its
 * way there, so that waiting never turns an accepted event into a dead letter.
 */
export function publishedTimeBounds(rawRetentionDays: number): TimeBounds {
  const { lateMsMax } = storedTimeBounds(rawRetentionDays);
  return {
    lateMsMax: Math.min(publishedLateMsMax, lateMsMax - Math.min(waitMsMax, lateMsMax / 2)),
    aheadMsMax: publishedAheadMsMax,
  };
}
