import type { Static } from 'typebox';
import type { changesAnswer, lossAnswer } from '../../../shared/admin-answers/answer-schemas.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import type { Command } from '../command.ts';
import { optional, table } from '../command.ts';

export const auditCommands: readonly Command[] = [
  {
    name: 'audit',
    synopsis: '[--hours N]',
    summary: 'Find lost events: compare the events that were sent with those that are stored.',
    operands: [0, 0],
    flags: { hours: { type: 'string', help: 'Hours before now that the audit covers (default 24).' } },
    async run(invocation) {
      const query = new URLSearchParams({ hours: optional(invocation, 'hours') ?? '24' }).toString();
      const data = await invocation.call<Static<typeof lossAnswer>>('POST', `/admin/v1/loss-audit?${query}`);
      const failed =
        data.lost !== 0 || data.disagreements.length > 0 || (data.counters?.length ?? 0) > 0 || data.cut;
      const text = [...findings(data), ...(failed ? ['', JSON.stringify(data, null, 2)] : [])].join('\n');
      return { data, text, failed };
    },
  },
  {
    name: 'changes',
    synopsis: '[--tenant ID] [--actor NAME] [--action VERB] [--since TIME] [--until TIME] [--cursor CURSOR]',
    summary: 'List changes, sign-ins and ended sessions with their actors, newest first.',
    operands: [0, 0],
    flags: {
      tenant: { type: 'string', help: 'Only this tenant.' },
      actor: { type: 'string', help: 'Only this actor.' },
      action: { type: 'string', help: 'Only this action, such as block or sign-in.' },
      since: { type: 'string', help: 'Only entries from this time on (RFC 3339).' },
      until: { type: 'string', help: 'Only entries before this time (RFC 3339).' },
      cursor: { type: 'string', help: 'Continue the list of the command before.' },
    },
    async run(invocation) {
      const query = new URLSearchParams();
      for (const flag of ['tenant', 'actor', 'action', 'since', 'until', 'cursor']) {
        const value = optional(invocation, flag);
        if (value !== undefined) query.set(flag === 'tenant' ? 'tenant_id' : flag, value);
      }
      const data = await invocation.call<Static<typeof changesAnswer>>(
        'GET',
        `/admin/v1/audit?${query.toString()}`,
      );
      const rows = data.changes.map((change) => [change.at, change.actor, change.tenant_id, change.detail]);
      const list = rows.length === 0 ? 'None.' : table(['WHEN', 'WHO', 'TENANT', 'WHAT'], rows);
      const more = data.next_cursor === null ? '' : `\n\nOlder entries: --cursor ${data.next_cursor}`;
      return { data, text: list + more };
    },
  },
];

function findings(data: Static<typeof lossAnswer>): string[] {
  const { lost, counters, disagreements, setBack, explained } = data;
  const ahead = counters?.reduce((sum, { redis, clickhouse }) => sum + redis - clickhouse, 0) ?? 0;
  const compared =
    ahead === 0
      ? 'Redis counts nothing that ClickHouse lacks.'
      : `Redis counts ${counted(ahead, 'unit')} that ClickHouse lacks. Responses that a crash interrupted have the same effect.`;
  return [
    lost === 0
      ? 'No event is lost.'
      : `${data.cut ? 'At least ' : ''}${counted(lost, 'event is', 'events are')} lost.`,
    disagreements.length === 0
      ? 'All totals agree with the events.'
      : `Totals of ${counted(disagreements.length, 'day does', 'days do')} not agree.`,
    counters === null ? 'Redis was not compared: the pipeline is behind.' : compared,
    ...setBack.map((run) => `The spool of ${run} was set back to an older copy, or is used by two nodes.`),
    `${counted(data.events, 'event was', 'events were')} audited, from ${data.since} to ${data.until}.`,
    `Records without a row of their own: ${counted(explained.repeats, 'repeat')}, ${counted(explained.corrections, 'correction')}, ${counted(explained.deadLetters, 'dead letter')}.`,
  ];
}
