import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Role } from '../../../../shared/domain/operators/operator.ts';
import type { Policy } from '../../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../../shared/domain/tenant.ts';
import type { Clock } from '../../../../shared/runtime/time/clock.ts';
import type { PortalLinks } from '../../../../shared/sessions/portal-links.ts';
import { removeKey } from '../../../../shared/tenants/api-keys.ts';
import { block, unblock } from '../../../../shared/tenants/block.ts';
import { addBoost, endBoost } from '../../../../shared/tenants/boosts.ts';
import { setNote, withInternalNote } from '../../../../shared/tenants/internal-note.ts';
import { rejection, success } from '../../../../shared/tenants/outcome.ts';
import type { ChangeRejection, Outcome } from '../../../../shared/tenants/outcome.ts';
import { entryId } from '../../../../shared/tenants/record/audited-change.ts';
import type { Edit, TenantRecords } from '../../../../shared/tenants/records.ts';
import type { Resets } from '../../../../shared/tenants/reset.ts';
import { sendOperatorTest } from '../../../../shared/tenants/test-messages/operator-test.ts';
import type { OperatorTestSources } from '../../../../shared/tenants/test-messages/operator-test.ts';
import { undoChange } from '../../../../shared/tenants/undo/undo-change.ts';
import { createParts } from '../../browser/parts.ts';
import { formOf } from '../../components/form-body.ts';
import { blockFrom, boostFrom, planFrom, settingsFrom } from './read-forms.ts';
import { internalNoteFrom } from './reason-fields.ts';
import type { PageContent } from '../../components/layout.ts';
import { actionForOperator, sendOperatorPage } from '../signed-in.ts';
import { tenantPage } from './tenant-page.ts';
import type { TenantPageSources } from './tenant-page.ts';

export interface ActionOptions extends TenantPageSources, OperatorTestSources {
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
  readonly role: Role;
  readonly form: URLSearchParams;
  readonly params: Readonly<Record<string, string>>;
}

/** Runs an action. Returns the changed record; null if the action changes no record. */
type Act = (action: Action) => Promise<Outcome<TenantRecord | null>>;

const base = '/operator/tenants/:id';

/** Actions of the forms on a tenant's page. They use the same functions as the admin API. */
export function registerActions(app: FastifyInstance, options: ActionOptions): void {
  const { records, resets, portalLinks, policy, clock } = options;
  const on = (path: string, role: Role, notice: string, act: Act): void => {
    app.post(
      `${base}${path}`,
      actionForOperator(role, (name, request, reply) => run(options, name, request, reply, notice, act)),
    );
  };
  /** An edit of the record, with the internal note of the form. */
  const edit = (
    path: string,
    role: Role,
    notice: string,
    editor: (record: TenantRecord, action: Action) => Outcome<Edit>,
  ): void => {
    on(path, role, notice, (action) =>
      records.change(action.id, action.name, (record) =>
        withInternalNote(editor(record, action), internalNoteFrom(action.form)),
      ),
    );
  };
  edit('/plan', 'admin', 'saved', (record, { form }) => planFrom(form, record, policy()));
  edit('/settings', 'admin', 'saved', (record, { form }) => settingsFrom(form, record, policy()));
  edit('/note', 'support', 'noted', (record, { form, name }) =>
    setNote(
      record,
      {
        text: (form.get('text') ?? '').replaceAll('\r\n', '\n').trim(),
        actor: name,
        readAt: form.get('read_at') ?? undefined,
      },
      clock.now(),
    ),
  );
  edit('/undo', 'support', 'undone', (record, { form, role }) =>
    undoChange(record, { changeId: form.get('change') ?? '', role, policy: policy(), nowMs: clock.now() }),
  );
  edit('/boosts', 'support', 'boosted', (record, { form, name }) =>
    addBoost(record, boostFrom(form, name, clock.now()), policy(), clock.now()),
  );
  edit('/boosts/:boostId/end', 'support', 'boost-ended', (record, { params }) =>
    endBoost(record, params['boostId'] ?? '', clock.now()),
  );
  edit('/block', 'support', 'blocked', (record, { form, name }) =>
    block(record, blockFrom(form, clock.now()), name, clock.now()),
  );
  edit('/unblock', 'support', 'unblocked', unblock);
  on('/reset', 'support', 'reset', ({ id, name, form }) =>
    (form.get('confirm') ?? '').trim() === id
      ? resets.tenant(id, name, form.get('reason') ?? '')
      : Promise.resolve(rejection(422, 'Not reset', 'The id you typed is not this tenant’s.', 'confirm')),
  );
  on('/test-alert', 'support', 'tested', async ({ id, name, form }) => {
    const test = { tenantId: id, targetId: form.get('target'), author: name };
    const outcome = await sendOperatorTest(options, test);
    return outcome.ok ? success(null) : outcome;
  });
  on('/sessions/end', 'support', 'sessions-ended', async ({ id, name }) => {
    await portalLinks.endAllOf(id, name);
    return success(null);
  });
  edit('/api-keys/:hash/delete', 'admin', 'key-deleted', (record, { params }) =>
    removeKey(record, params['hash'] ?? ''),
  );
}

async function run(
  options: ActionOptions,
  name: string,
  request: FastifyRequest,
  reply: FastifyReply,
  notice: string,
  act: Act,
): Promise<FastifyReply> {
  const params = request.params as Record<string, string>;
  const id = params['id'] ?? '';
  const role = request.operator?.role ?? 'viewer';
  const outcome = await act({ id, name, role, form: formOf(request), params });
  const back = `/operator/tenants/${encodeURIComponent(id)}`;
  if (outcome.ok) return reply.redirect(`${back}?${doneQuery(notice, outcome.value)}`, 303);
  return sendOperatorPage(reply, '/operator/tenants', await refusedPage(options, request, back, outcome));
}

/** Query of the page after an action: its notice, and the change of the record that it made. */
export function doneQuery(notice: string, record: TenantRecord | null): string {
  const [change] = record?.history ?? [];
  const made = record === null || change === undefined ? {} : { change: entryId(record.tenant_id, change) };
  return new URLSearchParams({ done: notice, ...made }).toString();
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
  starts_at: 'starts',
  ends_at: 'for',
  expires_at: 'for',
  until: 'for',
};

function fieldOf({ field, violations }: ChangeRejection): string | null {
  const name = field ?? violations?.[0]?.field.split('.')[0];
  return name === undefined ? null : (formFields[name] ?? name);
}
