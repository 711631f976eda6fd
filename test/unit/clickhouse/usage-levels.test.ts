import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { levelParts, partsOfSpans } from '../../../shared/clickhouse/queries/usage-levels.ts';
import type { LevelPart } from '../../../shared/clickhouse/queries/usage-levels.ts';

const lengthsMs = { event: 1, minute: 60_000, hour: 3_600_000, day: 86_400_000 };
const at = (text: string): number => Date.parse(`${text}Z`);
const shown = (parts: readonly LevelPart[]): string[] =>
  parts.map(({ level, startMs, endMs }) => `${level} ${iso(startMs)} ${endMs === null ? '…' : iso(endMs)}`);
const iso = (ms: number): string => new Date(ms).toISOString().slice(0, -5);

describe('a span is read from the coarsest levels that hold it', () => {
  test('whole days of UTC from the days', () => {
    const span = { startMs: at('2026-03-01T00:00:00'), endMs: at('2026-04-01T00:00:00') };
    expect(shown(levelParts(span))).toEqual(['day 2026-03-01T00:00:00 2026-04-01T00:00:00']);
  });

  test('a day of a zone with half hours from minutes and hours', () => {
    const span = { startMs: at('2026-03-01T18:30:00'), endMs: at('2026-03-02T18:30:00') };
    expect(shown(levelParts(span))).toEqual([
      'minute 2026-03-01T18:30:00 2026-03-01T19:00:00',
      'hour 2026-03-01T19:00:00 2026-03-02T18:00:00',
      'minute 2026-03-02T18:00:00 2026-03-02T18:30:00',
    ]);
  });

  test('usage since a reset from its millisecond on, without an end', () => {
    const parts = levelParts({ startMs: at('2026-03-01T10:20:30.500'), endMs: null });
    expect(shown(parts)).toEqual([
      'event 2026-03-01T10:20:30 2026-03-01T10:21:00',
      'minute 2026-03-01T10:21:00 2026-03-01T11:00:00',
      'hour 2026-03-01T11:00:00 2026-03-02T00:00:00',
      'day 2026-03-02T00:00:00 …',
    ]);
    expect(parts[0]?.startMs).toBe(at('2026-03-01T10:20:30.500'));
  });
});

test('adjoining spans are read together where no row of a level contains their border', () => {
  const days = (from: string, to: string) => ({ startMs: at(`${from}:00`), endMs: at(`${to}:00`) });
  const utc = [
    days('2026-03-01T00:00', '2026-03-07T00:00'),
    days('2026-03-07T00:00', '2026-03-08T00:00'),
    days('2026-03-08T00:00', '2026-04-01T00:00'),
  ];
  expect(shown(partsOfSpans(utc))).toEqual(['day 2026-03-01T00:00:00 2026-04-01T00:00:00']);
  const east = utc.map(({ startMs, endMs }) => ({ startMs: startMs - 3_600_000, endMs: endMs - 3_600_000 }));
  expect(shown(partsOfSpans(east))).toEqual([
    'hour 2026-02-28T23:00:00 2026-03-01T00:00:00',
    'day 2026-03-01T00:00:00 2026-03-06T00:00:00',
    'hour 2026-03-06T00:00:00 2026-03-08T00:00:00',
    'day 2026-03-08T00:00:00 2026-03-31T00:00:00',
    'hour 2026-03-31T00:00:00 2026-03-31T23:00:00',
  ]);
});

test('the parts of any span follow one another without gap or overlap, each of whole units of its level', () => {
  const instant = fc.integer({ min: 0, max: 4_000_000_000_000 });
  const lengthMs = fc.oneof(
    fc.constant(null),
    fc.integer({ min: 0, max: 200_000 }),
    fc.integer({ min: 0, max: 3_000 }).map((minutes) => minutes * 60_000),
    fc.integer({ min: 0, max: 3_000_000_000 }),
  );
  const unit = fc.constantFrom(...Object.values(lengthsMs));
  fc.assert(
    fc.property(instant, unit, lengthMs, (ms, roundedTo, length) => {
      const startMs = Math.floor(ms / roundedTo) * roundedTo;
      const endMs = length === null ? null : startMs + length;
      const parts = levelParts({ startMs, endMs });
      let nextMs: number | null = startMs;
      for (const part of parts) {
        expect(part.startMs).toBe(nextMs);
        for (const end of [part.startMs, part.endMs ?? 0]) expect(end % lengthsMs[part.level]).toBe(0);
        if (part.endMs !== null) expect(part.endMs).toBeGreaterThan(part.startMs);
        nextMs = part.endMs;
      }
      expect(nextMs).toBe(endMs);
      expect(parts.length).toBeLessThanOrEqual(7);
    }),
  );
});
