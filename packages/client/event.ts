import { Buffer } from 'node:buffer';

/** A usage event. Attributes are those of CloudEvents 1.0; what is absent is added when the event is published. */
export interface UsageEvent {
  /** The kind of usage, such as `tokens.used`. */
  readonly type: string;
  /** The tenant. May be absent with a tenant's own credential. */
  readonly subject?: string;
  /** `units` and `cost` are added up; `user_id`, `plan` and `route` have columns; others become properties. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** Absent: a random UUID. With `source` and `subject` it identifies the event, which is counted once. */
  readonly id?: string;
  /** RFC 3339. Absent: now. */
  readonly time?: string;
  readonly source?: string;
  /** Extension attributes. */
  readonly [extension: string]: unknown;
}

/** An event as JSON text, as it is sent, and as often as it is sent. */
export interface QueuedEvent {
  readonly text: string;
  readonly bytes: number;
}

/** Fixes the id and the time of an event. Throws a TypeError if the event has no JSON text. */
export function encodeEvent(event: UsageEvent, source: string): QueuedEvent & { readonly id: string } {
  const id = event.id ?? crypto.randomUUID();
  const time = event.time ?? new Date().toISOString();
  const text = JSON.stringify({ specversion: '1.0', source, ...event, id, time });
  return { id, text, bytes: byteLengthOf(text) };
}

export function byteLengthOf(text: string): number {
  return Buffer.byteLength(text);
}
