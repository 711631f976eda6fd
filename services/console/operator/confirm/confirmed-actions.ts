import type { FastifyInstance, FastifyRequest } from 'fastify';
import { apiKeysOf } from '../../../../shared/domain/tenant.ts';
import type { AuditLog } from '../../../../shared/kafka/audit-log.ts';
import type { DeadLetterService } from '../../../../shared/kafka/dead-letters/dead-letter-service.ts';
import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import type { PolicyTools } from '../../../../shared/policy-changes/open-policy-tools.ts';
import { rejection, success } from '../../../../shared/tenants/outcome.ts';
import type { TenantRecords } from '../../../../shared/tenants/records.ts';
import type { Resets } from '../../../../shared/tenants/reset.ts';
import { counted, nounFor } from '../../../../shared/domain/text/counted.ts';
import { html } from '../../components/html.ts';
import { comparison } from '../policy/policy-text.ts';
import { registerConfirmed } from './confirmation.ts';

export interface ConfirmedOptions {
  readonly resets: Resets;
  readonly records: TenantRecords;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly deadLetters: DeadLetterService;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly policyTools: Pick<PolicyTools, 'editor'>;
}

/** A form with the text of a policy, URL-encoded. */
export const policyBodyLimit = 1024 * 1024;

/** Actions that affect all tenants, or that cannot be undone: each needs a second confirmation. */
export function registerConfirmedActions(app: FastifyInstance, options: ConfirmedOptions): void {
  registerResetOfAll(app, options);
  registerDeletion(app, options);
  registerReplayOfAll(app, options);
  registerPutLive(app, options);
}

function registerResetOfAll(app: FastifyInstance, { resets }: ConfirmedOptions): void {
  registerConfirmed(app, {
    path: '/operator/reset-all',
    role: 'admin',
    here: '/operator/tenants',
    confirmation: async () => {
      const tenants = await resets.countAffected();
      return success({
        title: 'Reset the counters of all tenants',
        effects: [
          `Every window of every tenant becomes empty. ${counted(tenants, 'tenant')} had usage this month.`,
          'Limits that refuse now accept again at once. This cannot be undone.',
          'History, totals and cost stay.',
        ],
        phrase: `reset ${counted(tenants, 'tenant')}`,
        button: 'Reset all counters',
        back: '/operator/tenants',
      });
    },
    act: async (operator, _request, form) => {
      const outcome = await resets.all(operator, form.get('reason') ?? '');
      return outcome.ok ? success('/operator/tenants?done=reset-all') : outcome;
    },
  });
}

function registerDeletion(app: FastifyInstance, { records, directory }: ConfirmedOptions): void {
  const noRecord = rejection(404, 'No such record', 'This tenant has no record to delete.');
  registerConfirmed(app, {
    path: '/operator/tenants/:id/delete',
    role: 'admin',
    here: '/operator/tenants',
    confirmation: (request) => {
      const id = idOf(request);
      const record = directory.get(id);
      if (record === undefined) return Promise.resolve(noRecord);
      const keys = counted(apiKeysOf(record).length, 'API key');
      const boosts = counted(record.boosts?.length ?? 0, 'boost');
      return Promise.resolve(
        success({
          title: `Delete the record of ${id}`,
          effects: [
            html`The record of <code>${id}</code> is deleted: its plan, its own limits, ${boosts}, ${keys},
              its block and its notification settings.`,
            'Its API keys are refused from then on, and the portal sessions that they opened end. Requests with a JWT are served by the plan of the token.',
            'Recorded usage, totals and cost stay. The deleted record cannot be restored.',
          ],
          phrase: id,
          button: 'Delete the record',
          back: `/operator/tenants/${encodeURIComponent(id)}`,
        }),
      );
    },
    act: async (operator, request, form) => {
      const removed = await records.remove(idOf(request), operator, form.get('reason') ?? '');
      if (!removed.ok) return removed;
      return removed.value ? success('/operator/tenants?done=deleted') : noRecord;
    },
  });
}

function registerReplayOfAll(app: FastifyInstance, { deadLetters, audit }: ConfirmedOptions): void {
  registerConfirmed(app, {
    path: '/operator/dead-letters/replay',
    role: 'admin',
    here: '/operator/dead-letters',
    confirmation: async () => {
      const { matched, more } = await deadLetters.replayAll({ shiftMs: 0, dryRun: true });
      if (matched === 0)
        return rejection(404, 'Nothing to send', 'There is no dead letter that can be sent again.');
      const letters = counted(matched, 'dead letter');
      return success({
        title: 'Send all dead letters again',
        effects: [
          `${letters} of all tenants ${nounFor(matched, 'is', 'are')} sent to the original topics again.`,
          ...(more ? ['There are more; run this again for the others.'] : []),
          'An event that did arrive is recognised by its id and counted once. Others are counted now, and may raise usage and cost.',
        ],
        phrase: `send ${letters}`,
        button: 'Send all again',
        back: '/operator/dead-letters',
      });
    },
    act: async (operator, _request, form) => {
      const entry = { action: 'dead-letters-replay', detail: 'All dead letters sent again' };
      await audit.append({ ...entry, actor: operator, reason: form.get('reason') ?? '' });
      await deadLetters.replayAll({ shiftMs: 0, dryRun: false });
      return success('/operator/dead-letters?done=replayed');
    },
  });
}

function registerPutLive(app: FastifyInstance, { policyTools }: ConfirmedOptions): void {
  const here = '/operator/policy';
  registerConfirmed(app, {
    path: `${here}/live`,
    bodyLimit: policyBodyLimit,
    role: 'admin',
    here,
    isFormOnly: true,
    confirmation: async (_request, form) => {
      const { editor } = policyTools;
      const [text, expected] = [textOf(form), form.get('expected') ?? ''];
      const { policy, text: inForce, file } = editor.inForce();
      const checked = editor.check(text, 'required');
      if (!checked.valid)
        return rejection(422, 'The policy has violations', checked.violations.join('\n'), 'text');
      if (policy.revision !== expected)
        return rejection(
          412,
          'The policy changed meanwhile',
          `${policy.revision} is in force, not ${expected}: compare again.`,
        );
      if (!(await editor.isWritable()))
        return rejection(
          409,
          'The policy file cannot be written here',
          `Change ${file} where it is deployed from.`,
        );
      return success({
        title: 'Put a policy live',
        effects: [
          `Revision ${checked.policy.revision} replaces revision ${policy.revision} in ${file}.`,
          'This affects all tenants. Gateways follow within seconds.',
          'To take it back, put the earlier revision live again: the history keeps both.',
        ],
        details: comparison(inForce, text),
        phrase: checked.policy.revision,
        button: 'Put live',
        back: here,
        fields: { text, expected },
      });
    },
    act: async (operator, _request, form) => {
      const outcome = await policyTools.editor.putLive({
        text: textOf(form),
        expectedRevision: form.get('expected') ?? '',
        author: { actor: operator, source: 'console' },
        reason: form.get('reason') ?? '',
      });
      return outcome.ok ? success(`${here}?done=policy-live`) : outcome;
    },
  });
}

/** The proposed text of a policy. Browsers send line breaks as CRLF. */
function textOf(form: URLSearchParams): string {
  return (form.get('text') ?? '').replaceAll('\r\n', '\n');
}

function idOf({ params }: FastifyRequest): string {
  return (params as { readonly id: string }).id;
}
