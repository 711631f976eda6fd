import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bar } from '../../../services/console/components/bars.ts';
import type { Quantity } from '../../../shared/domain/usage/quantity.ts';
import { money, minorAmountText, percent } from '../../../services/console/components/format.ts';
import { html } from '../../../services/console/components/html.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import { formatTime } from '../../../shared/domain/time/format-time.ts';
import {
  durationForReading,
  settingForReading,
  windowName,
} from '../../../shared/domain/time/format-duration.ts';

describe('markup', () => {
  test('no text can open a tag or leave an attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const { markup } = html`<p title="${text}">${[text, null, false, undefined]}</p>`;
        expect(markup.replace(/^<p title="|<\/p>$/g, '')).not.toMatch(/[<>].*[<>"']/s);
        expect(markup.match(/[<>"]/g)).toHaveLength(6);
      }),
    );
  });

  test('nested markup is not escaped again, and null, undefined and false render nothing', () => {
    expect(html`<b>${html`<i>${1}</i>`}${null}${undefined}${false}</b>`.markup).toBe('<b><i>1</i></b>');
  });

  test('a bar stays within its track and states its figures in words', () => {
    expect(bar('Minute', 120, 100).markup).toMatch(/class="fill" width="100"/);
    expect(bar('Minute', 80, 100).markup).toContain('near');
    expect(bar('Minute', 0, 0).markup).toContain('full');
    expect(bar('Minute', 30, 120).markup).toContain('aria-valuetext="30 of 120, 25 %"');
  });
});

describe('figures', () => {
  test.each([
    [0, '0 s'],
    [1, '1 s'],
    [59_001, '1 min'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [47 * 3_600_000 + 60_000, '47 h 1 min'],
    [7 * 86_400_000, '7 days'],
    [-5, '0 s'],
  ])('%i ms reads as %s', (ms, text) => expect(durationForReading(ms)).toBe(text));

  test('small sums have more decimals', () => {
    expect([0, 12.345, 0.000075, 0.5].map((amount) => money(amount, null))).toEqual([
      '0.00',
      '12.35',
      '0.0000750',
      '0.500',
    ]);
  });

  test('money names the currency of the policy, and one request is not “1 requests”', () => {
    expect([1234.5, 0].map((amount) => money(amount, 'EUR'))).toEqual(['EUR 1,234.50', 'EUR 0.00']);
    expect([0, 1, 2].map((value) => counted(value, 'request'))).toEqual([
      '0 requests',
      '1 request',
      '2 requests',
    ]);
  });

  test('a setting below a second is exact, and a time that is left is rounded up', () => {
    expect([500, 1500].map(settingForReading)).toEqual(['500 ms', '2 s']);
    expect(windowName(250)).toBe('250 ms');
    expect(durationForReading(500)).toBe('1 s');
  });

  test('times are in the time zone of the tenant', () => {
    expect(formatTime('2026-11-27T23:30:00Z', 'Europe/Berlin')).toBe('28 Nov 2026, 00:30:00 CET');
    expect(formatTime('2026-11-27T23:30:00Z')).toBe('27 Nov 2026, 23:30:00 UTC');
  });

  test('amounts are money with its currency, or have the name of their quantity', () => {
    const usd = { name: 'usd', decimals: 6, kind: 'cost', measures: [] } as const;
    const tokens = { name: 'tokens', decimals: 0, kind: 'sum', measures: ['output_tokens'] } as const;
    const units = {
      quantities: new Map<string, Quantity>([
        ['usd', usd],
        ['tokens', tokens],
      ]),
      currency: 'USD',
    };
    expect(minorAmountText(units, 'usd', 5_250_000)).toBe('USD 5.25');
    expect(minorAmountText(units, 'tokens', 1500)).toBe('1,500 tokens');
    expect(minorAmountText(units, 'requests', 1500)).toBe('1,500');
    expect(minorAmountText({ ...units, currency: null }, 'usd', 5_250_000)).toBe('usd 5.25');
  });

  test('windows have the names of their units', () => {
    expect([60_000, 86_400_000, 10_000].map(windowName)).toEqual(['minute', 'day', '10 s']);
    expect(percent(0.1234)).toBe('12.3 %');
  });
});
