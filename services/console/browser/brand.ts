import { defaultProviderName } from '../../../shared/runtime/provider.ts';
import type { Provider } from '../../../shared/runtime/provider.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';

/** How the pages name and show the provider of the API. Tenants see the portal as a page of their provider. */
export interface Brand extends Provider {
  /** Image file of the logo; null: Tollgate's mark. */
  readonly logo: { readonly type: string; readonly content: Buffer } | null;
  /** Colour of links and buttons, `#rrggbb`; null: the default colours. */
  readonly colour: string | null;
}

export const defaultBrand: Brand = {
  name: defaultProviderName,
  logo: null,
  colour: null,
  support: null,
};

/** Text on a ground of the brand's colour, and the brand's colour as text, keep this contrast (WCAG 2, level AA). */
const contrastMin = 4.5;
const grounds = { light: [255, 255, 255], dark: [24, 30, 40] } as const;

type Colour = readonly [red: number, green: number, blue: number];

/**
 * CSS that replaces the accent colours by the brand's colour. The colour is darkened for light pages, and lightened for
 * dark pages, until it can be read there.
 */
export function brandSheet({ colour }: Brand): string {
  const chosen = colour === null ? null : colourOf(colour);
  if (chosen === null) return '';
  const light = readable(chosen, grounds.light, [0, 0, 0]);
  const dark = readable(chosen, grounds.dark, [255, 255, 255]);
  return `${ruleOf(light, grounds.light)}
@media (prefers-color-scheme: dark) {
${ruleOf(dark, grounds.dark)}
}`;
}

/** A text that names the support, for sentences: `Contact support`. A link if the brand has an address. */
export function supportLink({ support }: Brand): Html {
  return support === null
    ? html`Contact support`
    : html`<a href="${support}" rel="noreferrer">Contact support</a>`;
}

function ruleOf(accent: Colour, ground: Colour): string {
  const ink = contrast(accent, [255, 255, 255]) >= contrastMin ? '#ffffff' : '#0b1526';
  return `:root { --accent: ${hex(accent)}; --accent-ink: ${ink}; --accent-soft: ${hex(mix(ground, accent, 0.12))}; }`;
}

function readable(colour: Colour, ground: Colour, towards: Colour): Colour {
  // The badges have a ground that is mixed with the colour itself.
  for (let part = 0; part < 1; part += 0.05) {
    const mixed = mix(colour, towards, part);
    if (contrast(mixed, mix(ground, mixed, 0.12)) >= contrastMin) return mixed;
  }
  return towards;
}

function colourOf(text: string): Colour | null {
  const [, red, green, blue] = /^#([\da-f]{2})([\da-f]{2})([\da-f]{2})$/i.exec(text) ?? [];
  if (red === undefined || green === undefined || blue === undefined) return null;
  return [Number.parseInt(red, 16), Number.parseInt(green, 16), Number.parseInt(blue, 16)];
}

function mix([r, g, b]: Colour, [r2, g2, b2]: Colour, part: number): Colour {
  const one = (from: number, to: number): number => Math.round(from + (to - from) * part);
  return [one(r, r2), one(g, g2), one(b, b2)];
}

function hex(colour: Colour): string {
  return `#${colour.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}

/** Contrast ratio as WCAG 2 defines it. */
function contrast(a: Colour, b: Colour): number {
  const [high = 0, low = 0] = [luminance(a), luminance(b)].toSorted((one, other) => other - one);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: Colour): number {
  const [red = 0, green = 0, blue = 0] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
