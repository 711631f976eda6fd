import type { EventCursor, EventFilter } from '../../../../shared/clickhouse/queries/portal/event-list.ts';

const hourMs = 3_600_000;

export const eventSpans = {
  '1h': [hourMs, 'Last hour'],
  '24h': [24 * hourMs, 'Last 24 hours'],
  '7d': [168 * hourMs, 'Last 7 days'],
  '30d': [720 * hourMs, 'Last 30 days'],
} as const;

export type EventSpan = keyof typeof eventSpans;

/** What the address of the list of events requests. */
export interface WantedEvents {
  readonly span: EventSpan;
  /** Text of the status filter; empty: all. */
  readonly status: string;
  readonly filter: EventFilter;
  readonly cursor: EventCursor | null;
}

const textFields = ['route', 'user', 'decision', 'type', 'source', 'model', 'id'] as const;

/** Reads the address of the list. Unknown values are replaced by the defaults. */
export function wantedEvents(
  query: Readonly<Record<string, string | undefined>>,
  nowMs: number,
): WantedEvents {
  const text = (name: string): string => (query[name] ?? '').trim();
  const named = text('span');
  const span = Object.hasOwn(eventSpans, named) ? (named as EventSpan) : '24h';
  const texts = textFields.map((name) => [name, text(name)] as const).filter(([, value]) => value !== '');
  const statuses = statusRange(text('status'));
  return {
    span,
    status: statuses === null ? '' : text('status'),
    filter: {
      startMs: nowMs - eventSpans[span][0],
      // The clock of a gateway may be ahead.
      endMs: nowMs + hourMs,
      ...Object.fromEntries(texts),
      ...(statuses === null ? {} : { statuses }),
    },
    cursor: readCursor(query['before'] ?? ''),
  };
}

/** `429`: this status; `4xx`: its class; null for any other text. */
function statusRange(text: string): readonly [number, number] | null {
  const [, digit, others] = /^([1-5])(xx|\d\d)$/.exec(text) ?? [];
  if (digit === undefined || others === undefined) return null;
  return others === 'xx' ? [Number(`${digit}00`), Number(`${digit}99`)] : [Number(text), Number(text)];
}

const cursorTimeMsMax = 8.64e15;

/** A position in the list as the value of `before`: the time in Unix milliseconds and the id of an event. */
export function cursorText({ timeMs, id }: EventCursor): string {
  return `${timeMs}_${id}`;
}

/** The position that is the value of `before`; null if the text is none. */
export function readCursor(text: string): EventCursor | null {
  const [, time = '', id = ''] = /^(\d{1,16})_(.*)$/s.exec(text) ?? [];
  const timeMs = Number(time);
  return time === '' || timeMs > cursorTimeMsMax ? null : { timeMs, id };
}
