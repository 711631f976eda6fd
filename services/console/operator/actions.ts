import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { PortalLinks } from '../../../shared/sessions/portal-links.ts';
import { removeKey } from '../../../shared/tenants/api-keys.ts';
import { block, unblock } from '../../../shared/tenants/block.ts';
import { addBoost, endBoost } from '../../../shared/tenants/boosts.ts';
import { rejection, success } from '../../../shared/tenants/outcome.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import type { TenantRecords } from '../../../shared/tenants/records.ts';
import type { Resets } from '../../../shared/tenants/reset.ts';
import { formOf } from '../components/form-body.ts';
import { html } from '../components/html.ts';
import { blockFrom, boostFrom, planFrom } from './read-forms.ts';
import { actionForOperator, sendOperatorPage } from './signed-in.ts';

export interface ActionOptions {
  readonly records: TenantRecords;
  readonly resets: Resets;
  readonly portalLinks: PortalLinks;
  readonly policy: () => Policy;
  readonly clock: Clock;
}

interface Action {
  readonly id: string;
  /** Name of the operator. */
  readonly name: string;
  readonly form: URLSearchParams;
  readonly params: Readonly<Record<string, string>>;
}

const base = '/operator/tenants/:id';

/** Actions of the forms on a tenant's page. They use the same functions as the admin API. */
export function registerActions(app: FastifyInstance, options: ActionOptions): void {
  const { records, resets, portalLinks, policy, clock } = options;
  const on = (path: string, notice: string, act: (action: Action) => Promise<Outcome<unknown>>): void => {
    app.post(
      `${base}${path}`,
      actionForOperator((name, request, reply) => run(name, request, reply, notice, act)),
    );
  };
  on('/plan', 'saved', ({ id, name, form }) =>
    records.change(id, name, (record) => planFrom(form, record, policy())),
  );
  on('/boosts', 'boosted', ({ id, name, form }) =>
    records.change(id, name, (record) =>
      addBoost(record, boostFrom(form, name, clock.now()), policy(), clock.now()),
    ),
  );
  on('/boosts/:boostId/end', 'boost-ended', ({ id, name, params }) =>
    records.change(id, name, (record) => endBoost(record, params['boostId'] ?? '', clock.now())),
  );
  on('/block', 'blocked', ({ id, name, form }) =>
    records.change(id, name, (record) => block(record, blockFrom(form, clock.now()), name, clock.now())),
  );
  on('/unblock', 'unblocked', ({ id, name }) => records.change(id, name, unblock));
  on('/reset', 'reset', ({ id, name, form }) =>
    (form.get('confirm') ?? '').trim() === id
      ? resets.tenant(id, name, form.get('reason') ?? '')
      : Promise.resolve(rejection(422, 'Not reset', 'The id you typed is not this tenant’s.')),
  );
  on('/sessions/end', 'sessions-ended', async ({ id, name }) => {
    await portalLinks.endAllOf(id, name);
    return success(null);
  });
  on('/api-keys/:hash/delete', 'key-deleted', ({ id, name, params }) =>
    records.change(id, name, (record) => removeKey(record, params['hash'] ?? '')),
  );
}

async function run(
  name: string,
  request: FastifyRequest,
  reply: FastifyReply,
  notice: string,
  act: (action: Action) => Promise<Outcome<unknown>>,
): Promise<FastifyReply> {
  const params = request.params as Record<string, string>;
  const id = params['id'] ?? '';
  const outcome = await act({ id, name, form: formOf(request), params });
  const back = `/operator/tenants/${encodeURIComponent(id)}`;
  if (outcome.ok) return reply.redirect(`${back}?done=${notice}`, 303);
  const { title, detail, status } = outcome;
  const body = html`<section class="card narrow stack">
    <h1>${title}</h1>
    <p>${detail}</p>
    <p><a href="${back}">Back to the tenant</a></p>
  </section>`;
  return sendOperatorPage(reply, name, '/operator/tenants', { title, body, status });
}
