import { count } from '../../../shared/domain/text/counted.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';
import { percent, share } from './format.ts';

const nearShare = 0.8;

/**
 * CSS class for the used share of a limit. The page also shows the share as a figure, so that colour is not the only
 * sign.
 */
export function fullness(used: number, limit: number): '' | 'near' | 'full' {
  const part = share(used, limit);
  if (part >= 1 || limit === 0) return 'full';
  return part >= nearShare ? 'near' : '';
}

/** A bar as SVG, since the content security policy allows no inline style. */
export function bar(
  name: string,
  used: number,
  limit: number,
  {
    kind = '',
    text = count,
  }: { readonly kind?: '' | 'thin'; readonly text?: (value: number) => string } = {},
): Html {
  const width = Math.min(100, Math.round(share(used, limit) * 1000) / 10);
  return html`<svg
    class="bar ${kind} ${fullness(used, limit)}"
    viewBox="0 0 100 10"
    preserveAspectRatio="none"
    role="meter"
    aria-label="${name}"
    aria-valuemin="0"
    aria-valuemax="${limit}"
    aria-valuenow="${used}"
    aria-valuetext="${text(used)} of ${text(limit)}, ${percent(share(used, limit))}"
  >
    <rect class="track" width="100" height="10" />
    <rect class="fill" width="${width}" height="10" />
  </svg>`;
}
