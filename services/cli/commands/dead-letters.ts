import type { Static } from 'typebox';
import type {
  letterAnswer,
  lettersAnswer,
  replaysAnswer,
} from '../../../shared/admin-answers/answer-schemas.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import { spanMs } from '../../../shared/domain/time/duration.ts';
import type { Command, Invocation, Report } from '../command.ts';
import { operand, optional, table, UsageError } from '../command.ts';

export const deadLetterCommands: readonly Command[] = [
  {
    name: 'dead-letters list',
    synopsis: '[--limit N]',
    summary: 'List the messages that could not be read, newest first.',
    operands: [0, 0],
    flags: { limit: { type: 'string', help: 'How many at most (default 50).' } },
    async run(invocation) {
      const query = new URLSearchParams({ limit: optional(invocation, 'limit') ?? '50' }).toString();
      const data = await invocation.call<Static<typeof lettersAnswer>>(
        'GET',
        `/admin/v1/dead-letters?${query}`,
      );
      const rows = data.dead_letters.map((letter) => [letter.id, letter.at, letter.from, letter.reason]);
      return { data, text: rows.length === 0 ? 'None.' : table(['ID', 'WHEN', 'FROM', 'WHY'], rows) };
    },
  },
  {
    name: 'dead-letters show',
    synopsis: 'LETTER_ID',
    summary: 'Show a dead letter with its original content.',
    operands: [1, 1],
    async run(invocation) {
      const data = await invocation.call<Static<typeof letterAnswer>>(
        'GET',
        `/admin/v1/dead-letters/${encodeURIComponent(operand(invocation, 0))}`,
      );
      return {
        data,
        text: `${data.reason}\nFrom ${data.from} at ${data.at}, ${counted(data.bytes, 'byte')}\n\n${data.text}`,
      };
    },
  },
  {
    name: 'dead-letters replay',
    synopsis: 'LETTER_ID | --reason TEXT --tenant ID --since TIME [--shift=+15m] [--yes]',
    summary:
      'Replay one dead letter, or all that are selected. Safe to repeat: an event that was stored is counted once.',
    operands: [0, 1],
    flags: {
      reason: { type: 'string', help: 'Letters whose reason contains this text.' },
      tenant: { type: 'string', help: 'Letters of this tenant.' },
      since: {
        type: 'string',
        help: 'Letters written since this time, or in this duration before now: 2026-11-21T11:00:00Z, 2h.',
      },
      shift: {
        type: 'string',
        help: 'Added to the time of each event: --shift=+15m, --shift=-1h. For a node with a wrong clock.',
      },
      'dry-run': { type: 'boolean', help: 'Only count; the default without --yes.' },
      yes: { type: 'boolean', help: 'Send the letters.' },
    },
    example: 'dead-letters replay --reason "in the future" --since 2h --shift=-15m --yes',
    async run(invocation) {
      const id = operand(invocation, 0);
      if (id === '') return replayAll(invocation);
      const data = await invocation.call('POST', `/admin/v1/dead-letters/${encodeURIComponent(id)}/replay`);
      return { data, text: `Sent ${id} again.` };
    },
  },
];

async function replayAll(invocation: Invocation): Promise<Report> {
  const { flags } = invocation;
  if (flags['yes'] === true && flags['dry-run'] === true) {
    throw new UsageError('--yes and --dry-run exclude each other.');
  }
  const [reason, tenant, since, shift] = ['reason', 'tenant', 'since', 'shift'].map((name) =>
    optional(invocation, name),
  );
  if (reason === undefined && tenant === undefined && since === undefined) {
    throw new UsageError('Name a letter, or select by --reason, --tenant or --since.');
  }
  const data = await invocation.call<Static<typeof replaysAnswer>>('POST', '/admin/v1/dead-letters/replay', {
    ...(reason === undefined ? {} : { reason }),
    ...(tenant === undefined ? {} : { tenant_id: tenant }),
    ...(since === undefined ? {} : { since: instantOf(since, invocation.nowMs) }),
    ...(shift === undefined ? {} : { shift }),
    dry_run: flags['yes'] !== true,
  });
  const lines = [
    data.dry_run
      ? `${data.matched} match; nothing was sent. Repeat with --yes to send them.`
      : `Sent ${data.sent} of ${data.matched} again.`,
    ...(data.incomplete === 0
      ? []
      : [`${data.incomplete} do not hold their complete record and cannot be sent.`]),
    ...(data.without_time === 0 ? [] : [`${data.without_time} have no time that could be corrected.`]),
    ...(data.more ? ['There are more than one call takes: repeat it with a later --since.'] : []),
    ...Object.entries(data.by_reason).map(([text, count]) => `${String(count).padStart(7)}  ${text}`),
  ];
  return { data, text: lines.join('\n') };
}

/**
 * Converts a duration to a time: now minus the duration. Any other text is sent unchanged, and the admin API checks
 * it.
 */
function instantOf(text: string, nowMs: number): string {
  const agoMs = spanMs(text);
  return agoMs === null ? text : new Date(nowMs - agoMs).toISOString();
}
