import { alertShape, isAlert } from './alert.ts';
import type { AlertEvent } from './alert.ts';
import type { TopicRecord } from './record.ts';
import {
  checkOf,
  hasShape,
  integerFrom,
  isBoolean,
  numberFrom,
  oneOf,
  optional,
  schemaOf,
  textOf,
} from './shape.ts';
import type { Shape } from './shape.ts';

const channels = ['webhook', 'slack', 'email', 'log'] as const;
export type Channel = (typeof channels)[number];

const statuses = ['pending', 'delivered', 'dead', 'dropped'] as const;
/**
 * Final states: `delivered`, `dead` (no further attempts) and `dropped` (the target was removed from the record or is
 * disabled).
 */
export type DeliveryStatus = (typeof statuses)[number];

/**
 * Value of `tollgate.deliveries.v1`, keyed by `deliveryKeyOf`: the delivery of one alert to one target. Times are in
 * Unix milliseconds.
 */
export interface Delivery {
  readonly alert: AlertEvent;
  readonly channel: Channel;
  /** Identifies the target in the tenant's record. Contains no part of the target's address. */
  readonly target_id: string;
  /** The target as pages show it, without secrets and tokens. */
  readonly target: string;
  /** Partition of the alert in the alerts topic. The consumer of this partition sends the notification. */
  readonly partition: number;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly next_attempt_ms: number;
  readonly created_ms: number;
  readonly updated_ms: number;
  /** True if the target answered 410 Gone. */
  readonly gone?: boolean;
  /** Error of the last attempt; empty before the first attempt and after a success. */
  readonly error: string;
}

export function deliveryKeyOf({ alert, target_id }: Pick<Delivery, 'alert' | 'target_id'>): string {
  return `${alert.id}/${target_id}`;
}

const attemptsMax = 1_000_000;
/** Largest time in milliseconds that a `Date` can represent. */
const timeMsMax = 8.64e15;
const textLengthMax = 10_000;

/** Reads a value of the deliveries topic; null if it is not a valid delivery. */
export function readDelivery({ key, value }: Pick<TopicRecord, 'key' | 'value'>): Delivery | null {
  try {
    const delivery: unknown = JSON.parse(value?.toString() ?? '');
    return isDelivery(delivery) && deliveryKeyOf(delivery) === key ? delivery : null;
  } catch {
    return null;
  }
}

const isTimeMs = numberFrom(0, timeMsMax);

/** The fields of `Delivery`. */
export const deliveryShape: Shape<Delivery> = {
  alert: checkOf(schemaOf(alertShape), isAlert),
  channel: oneOf(channels),
  target_id: textOf(1, 200),
  target: textOf(0, textLengthMax),
  partition: integerFrom(0),
  status: oneOf(statuses),
  attempts: integerFrom(0, attemptsMax),
  next_attempt_ms: isTimeMs,
  created_ms: isTimeMs,
  updated_ms: isTimeMs,
  gone: optional(isBoolean),
  error: textOf(0, textLengthMax),
};

function isDelivery(value: unknown): value is Delivery {
  return hasShape(value, deliveryShape);
}
