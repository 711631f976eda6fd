import { call, errorOf } from './call.ts';
import type { Answer, Connection } from './call.ts';
import { TollgateError } from './errors.ts';
import type { QueuedEvent } from './event.ts';

export interface BatchResult {
  /** Events that will never be accepted, with the reason. */
  readonly rejected: readonly { readonly event: QueuedEvent; readonly reason: string }[];
  /** Events that have to be sent again, in their order. */
  readonly unsent: readonly QueuedEvent[];
  /** Number of events that are stored. */
  readonly stored: number;
  /** Why events have to be sent again; null if there are none. */
  readonly error: TollgateError | null;
}

export interface SendBounds {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

interface EventResult {
  readonly status: 'accepted' | 'duplicate' | 'rejected' | 'unavailable';
  readonly reason?: string;
}

/** Statuses with which the API refuses the request itself, and would refuse it again. */
const refusals = new Set([400, 413, 415, 422]);

/**
 * Sends one batch and returns what became of each event. If the API refuses the batch as a whole, halves of it are
 * sent, so that one invalid event does not affect the others. Never rejects.
 */
export async function sendBatch(
  connection: Connection,
  events: readonly QueuedEvent[],
  bounds: SendBounds,
): Promise<BatchResult> {
  try {
    const answer = await call(connection, 'POST', '/v1/events', {
      body: `[${events.map(({ text }) => text).join(',')}]`,
      contentType: 'application/cloudevents-batch+json',
      ...bounds,
    });
    const results = resultsOf(answer.body);
    if (results?.length === events.length) return sort(events, results, answer);
    if (refusals.has(answer.status)) return await refused(connection, events, errorOf(answer), bounds);
    return { rejected: [], unsent: events, stored: 0, error: errorOf(answer) };
  } catch (error) {
    return { rejected: [], unsent: events, stored: 0, error: error as TollgateError };
  }
}

async function refused(
  connection: Connection,
  events: readonly QueuedEvent[],
  error: TollgateError,
  bounds: SendBounds,
): Promise<BatchResult> {
  const [first] = events;
  if (first === undefined) return { rejected: [], unsent: [], stored: 0, error: null };
  if (events.length === 1)
    return { rejected: [{ event: first, reason: error.message }], unsent: [], stored: 0, error: null };
  const middle = Math.ceil(events.length / 2);
  const one = await sendBatch(connection, events.slice(0, middle), bounds);
  // A later event may depend on an earlier one, so it is not sent before that.
  if (one.error !== null) return { ...one, unsent: [...one.unsent, ...events.slice(middle)] };
  const other = await sendBatch(connection, events.slice(middle), bounds);
  return {
    rejected: [...one.rejected, ...other.rejected],
    unsent: other.unsent,
    stored: one.stored + other.stored,
    error: other.error,
  };
}

function sort(
  events: readonly QueuedEvent[],
  results: readonly EventResult[],
  { retryAfterSeconds }: Answer,
): BatchResult {
  const rejected: { event: QueuedEvent; reason: string }[] = [];
  const unsent: QueuedEvent[] = [];
  events.forEach((event, index) => {
    const { status, reason = 'no reason was given' } = results[index] ?? { status: 'unavailable' };
    if (status === 'rejected') rejected.push({ event, reason });
    else if (status === 'unavailable') unsent.push(event);
  });
  const stored = events.length - rejected.length - unsent.length;
  const message = 'Tollgate cannot store all events now; they are sent again.';
  const error = unsent.length === 0 ? null : new TollgateError(message, { status: 503, retryAfterSeconds });
  return { rejected, unsent, stored, error };
}

function resultsOf(body: unknown): readonly EventResult[] | null {
  if (typeof body !== 'object' || body === null || !('results' in body)) return null;
  return Array.isArray(body.results) ? (body.results as EventResult[]) : null;
}
