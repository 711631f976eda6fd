import type { Command } from './command.ts';
import { optional, table } from './command.ts';

interface LossAnswer {
  readonly lost: number;
  readonly events: number;
  readonly since: string;
  readonly until: string;
  readonly disagreements: readonly unknown[];
}

interface Change {
  readonly at: string;
  readonly actor: string;
  readonly tenant_id: string;
  readonly detail: string;
}

export const auditCommands: readonly Command[] = [
  {
    name: 'audit',
    synopsis: '[--hours N]',
    summary: 'Look for lost events: compare what was sent with what is stored.',
    operands: [0, 0],
    flags: { hours: { type: 'string', help: 'How far back (default 24).' } },
    async run(invocation) {
      const query = new URLSearchParams({ hours: optional(invocation, 'hours') ?? '24' }).toString();
      const data = await invocation.call<LossAnswer>('POST', `/admin/v1/loss-audit?${query}`);
      const agree = data.disagreements.length === 0;
      const text = [
        data.lost === 0 ? 'No event is lost.' : `${data.lost} events are lost.`,
        agree
          ? 'All totals agree with the events.'
          : `Totals of ${data.disagreements.length} days do not agree.`,
        `${data.events} events were looked at, from ${data.since} to ${data.until}.`,
        ...(data.lost === 0 && agree ? [] : ['', JSON.stringify(data, null, 2)]),
      ].join('\n');
      return { data, text, failed: data.lost !== 0 || !agree };
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
