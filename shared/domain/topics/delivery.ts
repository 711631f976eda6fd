import { isAlert } from './alert.ts';
import type { AlertEvent } from './alert.ts';
import type { TopicRecord } from './record.ts';
import { hasShape, integerFrom, numberFrom, oneOf, optional, textOf } from './shape.ts';

const channels = ['webhook', 'slack', 'email', 'log'] as const;
export type Channel = (typeof channels)[number];

const statuses = ['pending', 'delivered', 'dead', 'dropped'] as const;
/** `delivered`, `dead` (given up) and `dropped` (the target was removed from the record, or is disabled) are final. */
export type DeliveryStatus = (typeof statuses)[number];

/** The delivery of one alert to one target: a value of `tollgate.deliveries.v1`, keyed by `deliveryKeyOf`. Times are Unix ms. */
export interface Delivery {
  readonly alert: AlertEvent;
  readonly channel: Channel;
  /** Identifies the target in the tenant's record without its address. */
  readonly target_id: string;
  /** The target as shown to users: without secrets and tokens. */
  readonly target: string;
  /** The alert's partition: its consumer sends the delivery. */
  readonly partition: number;
  readonly status: DeliveryStatus;
  readonly attempts: number;
  readonly next_attempt_ms: number;
  readonly created_ms: number;
  readonly updated_ms: number;
  /** The target answered 410 Gone. */
  readonly gone?: boolean;
  /** Error of the last attempt; empty when there was no attempt or it succeeded. */
  readonly error: string;
}

export function deliveryKeyOf({ alert, target_id }: Pick<Delivery, 'alert' | 'target_id'>): string {
  return `${alert.id}/${target_id}`;
}

const attemptsMax = 1_000_000;
/** The largest time that a Date can hold. */
const timeMsMax = 8.64e15;
const textLengthMax = 10_000;

/** Reads a record of the deliveries topic; null where it is not a valid delivery. */
export function readDelivery({ key, value }: Pick<TopicRecord, 'key' | 'value'>): Delivery | null {
  try {
    const delivery: unknown = JSON.parse(value?.toString() ?? '');
    return isDelivery(delivery) && deliveryKeyOf(delivery) === key ? delivery : null;
  } catch {
    return null;
  }
}

function isDelivery(value: unknown): value is Delivery {
  const isTimeMs = numberFrom(0, timeMsMax);
  return hasShape<Delivery>(value, {
    alert: isAlert,
    channel: oneOf(channels),
    target_id: textOf(1, 200),
    target: textOf(0, textLengthMax),
    partition: integerFrom(0),
    status: oneOf(statuses),
    attempts: integerFrom(0, attemptsMax),
    next_attempt_ms: isTimeMs,
    created_ms: isTimeMs,
    updated_ms: isTimeMs,
    gone: optional((gone) => typeof gone === 'boolean'),
    error: textOf(0, textLengthMax),
  });
}
