import { Ajv } from 'ajv';
import { Type } from 'typebox';
import type { AlertEvent } from '../../../shared/domain/topics/alert.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { alertFormats, alertSchema } from '../alert-record.ts';

export type Channel = 'webhook' | 'slack' | 'email' | 'log';

/** `delivered`, `dead` (given up) and `dropped` (the target was removed from the record, or is disabled) are final. */
export type DeliveryStatus = 'pending' | 'delivered' | 'dead' | 'dropped';

/** The delivery of one alert to one target: a value of the deliveries topic, keyed by `deliveryKeyOf`. Times are Unix ms. */
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

/** Outcome of one attempt. `gone`: the target answered 410. `refused`: no retry can succeed. */
export type AttemptOutcome =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed'; readonly error: string; readonly retryAfterMs?: number }
  | { readonly kind: 'gone'; readonly error: string }
  | { readonly kind: 'refused'; readonly error: string };

/** Retry n waits between half of and the full backoff, base × factor^n ms, at most `capMs`. */
export interface RetryPlan {
  readonly attemptsMax: number;
  readonly baseMs: number;
  readonly factor: number;
  readonly capMs: number;
}

/** Retries for about a day: after 5 s, 25 s, 2 min, 10 min, 50 min, then every 4 h. */
export const defaultRetryPlan: RetryPlan = {
  attemptsMax: 11,
  baseMs: 5_000,
  factor: 5,
  capMs: 4 * 3_600_000,
};

export function deliveryKeyOf({ alert, target_id }: Pick<Delivery, 'alert' | 'target_id'>): string {
  return `${alert.id}/${target_id}`;
}

/** Returns the delivery after an attempt. `random`, in [0, 1), is the jitter. Pure. */
export function afterAttempt(
  delivery: Delivery,
  outcome: AttemptOutcome,
  { nowMs, random, plan }: { nowMs: number; random: number; plan: RetryPlan },
): Delivery {
  const attempts = delivery.attempts + 1;
  const next = {
    ...delivery,
    attempts,
    updated_ms: nowMs,
    error: outcome.kind === 'delivered' ? '' : outcome.error,
  };
  if (outcome.kind === 'delivered') return { ...next, status: 'delivered' };
  if (outcome.kind === 'gone') return { ...next, status: 'dead', gone: true };
  if (outcome.kind === 'refused' || attempts >= plan.attemptsMax) return { ...next, status: 'dead' };
  const backoffMs = Math.min(plan.capMs, plan.baseMs * plan.factor ** (attempts - 1)) * (0.5 + random / 2);
  // The target's `Retry-After` is respected up to the longest backoff.
  const waitMs = Math.max(backoffMs, Math.min(outcome.retryAfterMs ?? 0, plan.capMs));
  return { ...next, next_attempt_ms: nowMs + Math.ceil(waitMs) };
}

const text = Type.String({ format: 'text', maxLength: 10_000 });
const instantMs = Type.Number({ minimum: 0, maximum: 8.64e15 });
const schema = Type.Object({
  alert: alertSchema,
  channel: Type.Enum(['webhook', 'slack', 'email', 'log']),
  target_id: Type.String({ format: 'text', minLength: 1, maxLength: 200 }),
  target: text,
  partition: Type.Integer({ minimum: 0 }),
  status: Type.Enum(['pending', 'delivered', 'dead', 'dropped']),
  attempts: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  next_attempt_ms: instantMs,
  created_ms: instantMs,
  updated_ms: instantMs,
  gone: Type.Optional(Type.Boolean()),
  error: text,
});
const validate = new Ajv({ formats: alertFormats }).compile<Delivery>(schema);

/** Reads a record of the deliveries topic; null where it is not a valid delivery. */
export function readDelivery({ key, value }: Pick<ConsumedMessage, 'key' | 'value'>): Delivery | null {
  try {
    const delivery: unknown = JSON.parse(value?.toString() ?? '');
    return validate(delivery) && deliveryKeyOf(delivery) === key ? delivery : null;
  } catch {
    return null;
  }
}
