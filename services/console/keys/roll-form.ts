import { field } from '../components/form.ts';
import { html } from '../components/html.ts';
import type { Html } from '../components/html.ts';

const hourMs = 3_600_000;

/** How long the old key stays valid, by the value of the form. */
const overlaps: ReadonlyMap<string, number> = new Map([
  ['now', 0],
  ['1h', hourMs],
  ['24h', 24 * hourMs],
  ['7d', 7 * 24 * hourMs],
]);

export interface RollFormOptions {
  /** Prefix of the ids of the fields, if a page has several of these forms. */
  readonly form?: string;
  /** Further attributes of the form. */
  readonly attributes?: Html | null;
}

/** The form that replaces a key by a successor. */
export function rollForm(action: string, { form, attributes = null }: RollFormOptions = {}): Html {
  return html`<form method="post" action="${action}" ${attributes}>
    ${field({
      ...(form === undefined ? {} : { form }),
      kind: 'select',
      name: 'overlap',
      label: 'This key ends',
      value: '24h',
      options: [
        ['now', 'now'],
        ['1h', 'in 1 hour'],
        ['24h', 'in 24 hours'],
        ['7d', 'in 7 days'],
      ],
    })}
    <button type="submit">Roll the key</button>
  </form>`;
}

/** The chosen overlap in milliseconds; NaN if the value is none of the options. */
export function overlapMsFrom(form: URLSearchParams): number {
  return overlaps.get(form.get('overlap') ?? '') ?? Number.NaN;
}
