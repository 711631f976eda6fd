import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';

/** A submitted form that was refused: what was entered, and which field is wrong. */
export interface RefusedForm {
  readonly values: URLSearchParams;
  /** A sentence that says how to correct the form. */
  readonly detail: string;
  /** Name of the wrong field; null if the refusal concerns no single field. */
  readonly field: string | null;
}

interface FieldBase {
  readonly name: string;
  readonly label: string;
  /** Prefix of the field's id; needed if several forms of a page have a field of this name. */
  readonly form?: string;
  readonly hint?: HtmlValue;
  readonly value?: string;
  readonly required?: boolean;
  readonly lengthMax?: number;
  readonly placeholder?: string;
  readonly autocomplete?: string;
  readonly mono?: boolean;
  /** Present: the page opens with the focus in the wrong field, or, if none is wrong, in the field with `true`. */
  readonly autofocus?: boolean;
}

export type FieldOptions = FieldBase &
  (
    | {
        readonly kind?:
          'text' | 'search' | 'password' | 'email' | 'url' | 'number' | 'date' | 'datetime-local';
      }
    | { readonly kind: 'area' }
    | { readonly kind: 'select'; readonly options: readonly (readonly [value: string, label: string])[] }
  );

/**
 * A labelled field. If the form was refused, the field has the text that was entered, and the wrong field is marked and
 * states the reason. A password is never sent back.
 */
export function field(options: FieldOptions, refused: RefusedForm | null = null): Html {
  const { name, label, form, hint, required = false } = options;
  const id = form === undefined ? name.replaceAll('_', '-') : `${form}-${name.replaceAll('_', '-')}`;
  const kept = refused !== null && options.kind !== 'password';
  const value = kept ? (refused.values.get(name) ?? '') : (options.value ?? '');
  const error = refused?.field === name ? refused.detail : null;
  const { autofocus } = options;
  const isFocused =
    autofocus !== undefined && (error !== null || (autofocus && (refused?.field ?? null) === null));
  const described = [
    ...(error === null ? [] : [`${id}-error`]),
    ...(hint === undefined ? [] : [`${id}-hint`]),
  ];
  const attributes = html`id="${id}" name="${name}" ${required ? html`required` : null}
  ${options.lengthMax === undefined ? null : html`maxlength="${options.lengthMax}"`}
  ${options.placeholder === undefined ? null : html`placeholder="${options.placeholder}"`}
  ${options.autocomplete === undefined ? null : html`autocomplete="${options.autocomplete}"`}
  ${isFocused ? html`autofocus` : null} ${options.mono === true ? html`class="mono"` : null}
  ${error === null ? null : html`aria-invalid="true"`}
  ${described.length === 0 ? null : html`aria-describedby="${described.join(' ')}"`}`;
  return html`<div class="field">
    <label for="${id}">${label}</label>
    ${control(options, attributes, value)}
    ${error === null ? null : html`<p class="error" id="${id}-error">${error}</p>`}
    ${hint === undefined ? null : html`<p class="hint" id="${id}-hint">${hint}</p>`}
  </div>`;
}

const lineBreak = '\n';

function control(options: FieldOptions, attributes: Html, value: string): Html {
  switch (options.kind) {
    // The first line break in a text area is not part of its content.
    case 'area':
      return html`<textarea ${attributes}>${lineBreak + value}</textarea>`;
    case 'select':
      return html`<select ${attributes}>
        ${options.options.map(
          ([one, label]) =>
            html`<option value="${one}" ${one === value ? html`selected` : null}>${label}</option>`,
        )}
      </select>`;
    default:
      return html`<input
        ${attributes}
        type="${options.kind ?? 'text'}"
        ${options.kind === 'number' ? html`step="any" min="0"` : null}
        value="${value}"
      />`;
  }
}

/** States above the fields why the form was refused, unless a field states it. */
export function formError(refused: RefusedForm | null): Html | null {
  if (refused === null) return null;
  return html`<p class="notice bad" role="alert">
    ${refused.field === null ? refused.detail : 'Not saved: one field needs a correction.'}
  </p>`;
}

export interface ChecksOptions {
  readonly name: string;
  readonly legend: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly checked: readonly string[];
  readonly hint?: string;
}

/** Check boxes of one name under a legend. `error` says why the choice was refused. */
export function checks(
  { name, legend, options, checked, hint }: ChecksOptions,
  error: string | null = null,
): Html {
  const errorId = `${name}-error`;
  return html`<fieldset ${error === null ? null : html`aria-describedby="${errorId}"`}>
    <legend>${legend}</legend>
    <div class="checks">
      ${options.map(
        ([value, label]) =>
          html`<label
            ><input
              type="checkbox"
              name="${name}"
              value="${value}"
              ${checked.includes(value) ? html`checked` : null}
            />
            ${label}</label
          >`,
      )}
    </div>
    ${error === null ? null : html`<p class="notice bad" id="${errorId}">${error}</p>`}
    ${hint === undefined ? null : html`<p class="hint">${hint}</p>`}
  </fieldset>`;
}
