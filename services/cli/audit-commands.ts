import type { Command } from './command.ts';
import { optional, table } from './command.ts';

interface Change {
  readonly at: string;
  readonly actor: string;
  readonly tenant_id: string;
  readonly detail: string;
}

export const auditCommands: readonly Command[] = [
  {
    name: 'audit',
    synopsis: '',
    summary: 'Look for lost events: compare what was sent with what is stored.',
    operands: [0, 0],
    async run(invocation) {
      const data = await invocation.call<{ lost: number }>('POST', '/admin/v1/loss-audit');
      const verdict = data.lost === 0 ? 'Nothing is lost.' : `${data.lost} events are lost.`;
      return { data, text: `${verdict}\n${JSON.stringify(data, null, 2)}`, failed: data.lost !== 0 };
    },
  },
  {
    name: 'changes',
    synopsis: '[--tenant ID] [--actor NAME]',
    summary: 'Who changed what, newest first.',
    operands: [0, 0],
    flags: {
      tenant: { type: 'string', help: 'Only this tenant.' },
      actor: { type: 'string', help: 'Only this person.' },
    },
    async run(invocation) {
      const query = new URLSearchParams();
      const [tenant, actor] = [optional(invocation, 'tenant'), optional(invocation, 'actor')];
      if (tenant !== undefined) query.set('tenant_id', tenant);
      if (actor !== undefined) query.set('actor', actor);
      const data = await invocation.call<{ changes: readonly Change[] }>(
        'GET',
        `/admin/v1/audit?${query.toString()}`,
      );
      const rows = data.changes.map((change) => [change.at, change.actor, change.tenant_id, change.detail]);
      return { data, text: rows.length === 0 ? 'None.' : table(['WHEN', 'WHO', 'TENANT', 'WHAT'], rows) };
    },
  },
];
