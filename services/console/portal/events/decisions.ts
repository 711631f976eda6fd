import { html } from '../../components/html.ts';
import type { Html } from '../../components/html.ts';

const words: Readonly<Record<string, string>> = {
  allowed: 'allowed',
  limited: 'refused',
  bypassed: 'bypassed',
  shadow_limited: 'not enforced',
};
const tones: Readonly<Record<string, string>> = { limited: 'bad', shadow_limited: 'warn' };

export const decisionOptions: readonly (readonly [string, string])[] = [
  ['', 'All'],
  ...Object.entries(words),
];

export function decisionBadge({ decision }: { readonly decision: string }): Html {
  return html`<span class="badge ${tones[decision] ?? 'plain'}">${words[decision] ?? decision}</span>`;
}
