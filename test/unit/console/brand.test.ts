import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadAssets } from '../../../services/console/browser/assets.ts';
import { brandSheet, defaultBrand } from '../../../services/console/browser/brand.ts';

const colours = fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: 0, max: 255 })));
const hex = (parts: readonly number[]): string =>
  `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [luminance(one), luminance(other)].toSorted((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

test('text in any colour of a brand can be read on light and on dark pages', () => {
  fc.assert(
    fc.property(colours, (parts) => {
      const sheet = brandSheet({ ...defaultBrand, colour: hex(parts) });
      const accents = [
        ...sheet.matchAll(/--accent: (#\w{6}); --accent-ink: (#\w{6}); --accent-soft: (#\w{6})/g),
      ];
      expect(accents).toHaveLength(2);
      for (const [, accent = '', ink = '', soft = ''] of accents) {
        expect(contrast(accent, ink)).toBeGreaterThanOrEqual(4.5);
        expect(contrast(accent, soft)).toBeGreaterThanOrEqual(4.45);
      }
    }),
  );
  expect(brandSheet(defaultBrand)).toBe('');
});

test('the address of files changes with any of their contents', () => {
  const plain = loadAssets('', null);
  const logo = { type: 'image/png', content: Buffer.from('png') };
  const versions = [plain, loadAssets(':root {}', null), loadAssets('', logo)].map(({ version }) => version);
  expect(new Set(versions).size).toBe(3);
  expect(plain.url('console.css')).toBe(`/assets/${loadAssets('', null).version}/console.css`);
  expect(plain.get('logo')).toBeUndefined();
});

test('all scripts of a page have less than 60 kB when compressed', () => {
  const assets = loadAssets('', null);
  const sizes = ['htmx.js', 'uplot.js', 'chart.js', 'console.js'].map(
    (name) => assets.get(name)?.gzip.length,
  );
  const total = sizes.reduce<number>((sum, size) => sum + (size ?? Infinity), 0);
  expect(total).toBeLessThan(60_000);
});
