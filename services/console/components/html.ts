/**
 * Markup of pages that the server renders. `html` escapes every value except results of `html`. So text from tenants,
 * paths and error messages cannot become markup.
 */
export class Html {
  readonly markup: string;

  constructor(markup: string) {
    this.markup = markup;
  }

  toString(): string {
    return this.markup;
  }
}

export type HtmlValue = Html | string | number | null | undefined | false | readonly HtmlValue[];

/**
 * Tagged template: `html\`<b>${name}</b>\``. Null, undefined and false become empty text; the elements of a list are
 * concatenated.
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let markup = parts[0] ?? '';
  values.forEach((value, index) => {
    markup += render(value) + (parts[index + 1] ?? '');
  });
  return new Html(markup);
}

/**
 * A name that users or clients chose, such as an e-mail address. A line may break after each `/`, `@` and `.`; between
 * letters it breaks only if a piece alone is too long for a line.
 */
export function breakable(text: string): Html {
  return html`${text.split(/(?<=[/@.])/).map((piece, at) => (at === 0 ? piece : html`<wbr />${piece}`))}`;
}

/** A route or path as code. */
export function pathCode(text: string): Html {
  return html`<code>${breakable(text)}</code>`;
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof Html) return value.markup;
  if (typeof value === 'string') return escape(value);
  if (typeof value === 'number') return String(value);
  return value.map(render).join('');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
