import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import type { PortalLinks } from '../../../../shared/sessions/portal-links.ts';
import { removeKey } from '../../../../shared/tenants/api-keys.ts';
import { block, unblock } from '../../../../shared/tenants/block.ts';
import { addBoost, endBoost } from '../../../../shared/tenants/boosts.ts';
import { rejection, success } from '../../../../shared/tenants/outcome.ts';
import type { ChangeRejection, Outcome } from '../../../../shared/tenants/outcome.ts';
import type { TenantRecords } from '../../../../shared/tenants/records.ts';
import type { Resets } from '../../../../shared/tenants/reset.ts';
import { createParts } from '../../browser/parts.ts';
import { formOf } from '../../components/form-body.ts';
import { blockFrom, boostFrom, planFrom } from './read-forms.ts';
import type { PageContent } from '../../components/layout.ts';
import { actionForOperator, sendOperatorPage } from '../signed-in.ts';
import { tenantPage } from './tenant-page.ts';
import type { TenantPageSources } from './tenant-page.ts';

export interface ActionOptions extends TenantPageSources {
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
  const on = (
    path: string,
    role: Role,
    notice: string,
    act: (action: Action) => Promise<Outcome<unknown>>,
  ): void => {
    app.post(
      `${base}${path}`,
      actionForOperator(role, (name, request, reply) => run(options, name, request, reply, notice, act)),
    );
  };
  on('/plan', 'admin', 'saved', ({ id, name, form }) =>
    records.change(id, name, (record) => planFrom(form, record, policy())),
  );
  on('/boosts', 'support', 'boosted', ({ id, name, form }) =>
    records.change(id, name, (record) =>
      addBoost(record, boostFrom(form, name, clock.now()), policy(), clock.now()),
    ),
  );
  on('/boosts/:boostId/end', 'support', 'boost-ended', ({ id, name, params }) =>
    records.change(id, name, (record) => endBoost(record, params['boostId'] ?? '', clock.now())),
  );
  on('/block', 'support', 'blocked', ({ id, name, form }) =>
    records.change(id, name, (record) => block(record, blockFrom(form, clock.now()), name, clock.now())),
  );
  on('/unblock', 'support', 'unblocked', ({ id, name }) => records.change(id, name, unblock));
  on('/reset', 'support', 'reset', ({ id, name, form }) =>
    (form.get('confirm') ?? '').trim() === id
      ? resets.tenant(id, name, form.get('reason') ?? '')
      : Promise.resolve(rejection(422, 'Not reset', 'The id you typed is not this tenant’s.', 'confirm')),
  );
  on('/sessions/end', 'support', 'sessions-ended', async ({ id, name }) => {
    await portalLinks.endAllOf(id, name);
    return success(null);
  });
  on('/api-keys/:hash/delete', 'admin', 'key-deleted', ({ id, name, params }) =>
    records.change(id, name, (record) => removeKey(record, params['hash'] ?? '')),
  );
}

async function run(
  options: ActionOptions,
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
  return sendOperatorPage(reply, '/operator/tenants', await refusedPage(options, request, back, outcome));
}

/** The page of the tenant with the form as it was submitted, and the reason of the refusal. */
export async function refusedPage(
  options: TenantPageSources,
  request: FastifyRequest,
  back: string,
  rejected: ChangeRejection,
): Promise<PageContent> {
  const { title, detail, status } = rejected;
  const form = request.url.split('?', 1)[0]?.split('/').at(-1) ?? '';
  const refusal = { values: formOf(request), detail, field: fieldOf(rejected) };
  const parts = createParts(request, { url: back });
  const content = await tenantPage(options, request, parts, { form, refusal });
  return { ...content, status, notice: { tone: 'bad', text: `${title}. ${detail}` } };
}

/** Names of form fields by the fields of the record or of the request that they set. */
const formFields: Readonly<Record<string, string>> = {
  multiply: 'value',
  set_to: 'value',
  ends_at: 'for',
  expires_at: 'for',
  until: 'for',
};

function fieldOf({ field, violations }: ChangeRejection): string | null {
  const name = field ?? violations?.[0]?.field.split('.')[0];
  return name === undefined ? null : (formFields[name] ?? name);
}
