import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { ChangeRejection, Outcome } from '../../../../shared/tenants/outcome.ts';
import { formOf } from '../../components/form-body.ts';
import { field, formError } from '../../components/form.ts';
import type { RefusedForm } from '../../components/form.ts';
import { html } from '../../components/html.ts';
import type { Html, HtmlValue } from '../../components/html.ts';
import { addressOf } from '../../components/links.ts';
import { guardedOperator, sendOperatorPage } from '../signed-in.ts';

/** What a confirmation page states before an action that affects many tenants or cannot be undone. */
export interface Confirmation {
  readonly title: string;
  /** Sentences that name what will happen, with counts. */
  readonly effects: readonly HtmlValue[];
  /** What the sentences cannot state, such as the comparison of two texts. */
  readonly details?: Html;
  /**
   * Text that the operator has to type. It contains the count or the name of what is affected, or the revision of the submitted
   * text. If this has changed since the page was shown, the typed text no longer equals the phrase, and the page is shown again.
   */
  readonly phrase: string;
  /** Label of the button. */
  readonly button: string;
  /** Address of the page from which the operator came. */
  readonly back: string;
  /** Fields of the form that led to this page. They are sent again with the confirmation. */
  readonly fields?: Readonly<Record<string, string>>;
}

export interface ConfirmedAction {
  readonly path: string;
  readonly role: Role;
  /** Longest body of the form in bytes; absent: that of all forms. */
  readonly bodyLimit?: number;
  /** `href` of the navigation item under which the page is shown. */
  readonly here: string;
  /**
   * True: only a form (`POST`) opens the page, so that a link of another site cannot fill it. A `GET` is redirected to `here`.
   */
  readonly isFormOnly?: boolean;
  /** `form` has the fields of the submitted form, or of the query if the page was opened by a link. */
  readonly confirmation: (request: FastifyRequest, form: URLSearchParams) => Promise<Outcome<Confirmation>>;
  /** Runs after the confirmation. Returns the address to which the browser is redirected. */
  readonly act: (
    operator: string,
    request: FastifyRequest,
    form: URLSearchParams,
  ) => Promise<Outcome<string>>;
}

/**
 * Registers an action that needs a second confirmation. `GET` of the path, and `POST` without `confirm`, show a page that
 * names what will happen. Only `POST` with the typed phrase and a reason runs the action.
 */
export function registerConfirmed(app: FastifyInstance, action: ConfirmedAction): void {
  const config = { access: `operator-session:${action.role}` } as const;
  app.get(action.path, { config }, (request, reply) => {
    if (action.isFormOnly === true) return reply.redirect(action.here, 303);
    const query = new URLSearchParams(request.query as Record<string, string>);
    return confirm(action, request, reply, query);
  });
  const options = action.bodyLimit === undefined ? { config } : { config, bodyLimit: action.bodyLimit };
  app.post(action.path, options, (request, reply) => confirm(action, request, reply, formOf(request)));
}

async function confirm(
  action: ConfirmedAction,
  request: FastifyRequest,
  reply: FastifyReply,
  form: URLSearchParams,
): Promise<FastifyReply> {
  const outcome = await action.confirmation(request, form);
  if (!outcome.ok) return sendRejected(action, reply, outcome);
  const confirmation = outcome.value;
  const show = (refused: RefusedForm | null): FastifyReply =>
    sendOperatorPage(reply, action.here, {
      title: confirmation.title,
      status: refused === null ? 200 : 422,
      body: confirmationCard(addressOf(request).path, confirmation, refused),
    });
  if (request.method !== 'POST' || !form.has('confirm')) return show(null);
  const refused = refusalOf(confirmation, form);
  if (refused !== null) return show(refused);
  const done = await action.act(guardedOperator(request), request, form);
  return done.ok ? reply.redirect(done.value, 303) : sendRejected(action, reply, done);
}

function refusalOf({ phrase }: Confirmation, form: URLSearchParams): RefusedForm | null {
  if ((form.get('confirm') ?? '').trim() !== phrase)
    return { values: form, field: 'confirm', detail: `Nothing was done. Type exactly: ${phrase}` };
  if ((form.get('reason') ?? '').trim() === '')
    return {
      values: form,
      field: 'reason',
      detail: 'Nothing was done. State why: the audit trail keeps it.',
    };
  return null;
}

function confirmationCard(
  path: string,
  { title, effects, details, phrase, button, back, fields = {} }: Confirmation,
  refused: RefusedForm | null,
): Html {
  return html`<section class="card narrow stack">
    <h1>${title}</h1>
    <ul class="list">
      ${effects.map((effect) => html`<li>${effect}</li>`)}
    </ul>
    ${details ?? null}
    <form method="post" action="${path}">
      ${formError(refused)}
      ${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
      ${field(
        {
          ...{ name: 'confirm', label: 'Type this to confirm', mono: true, required: true },
          ...{ autocomplete: 'off', hint: html`<code>${phrase}</code>` },
        },
        refused,
      )}
      ${field({ name: 'reason', label: 'Why', required: true, lengthMax: 500 }, refused)}
      <div class="actions">
        <button class="danger" type="submit">${button}</button>
        <a href="${back}">Cancel</a>
      </div>
    </form>
  </section>`;
}

function sendRejected(
  { here }: ConfirmedAction,
  reply: FastifyReply,
  { title, detail, status }: ChangeRejection,
): FastifyReply {
  const body = html`<section class="card narrow stack">
    <h1>${title}</h1>
    <p>${detail}</p>
    <p><a href="${here}">Go back</a></p>
  </section>`;
  return sendOperatorPage(reply, here, { title, status, body });
}
