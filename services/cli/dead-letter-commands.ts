import type { Command } from './command.ts';
import { operand, optional, table } from './command.ts';

interface Letter {
  readonly id: string;
  readonly at: string;
  readonly reason: string;
  readonly from: string;
  readonly text: string;
  readonly bytes: number;
}

export const deadLetterCommands: readonly Command[] = [
  {
    name: 'dead-letters list',
    synopsis: '[--limit N]',
    summary: 'What could not be read, newest first.',
    operands: [0, 0],
    flags: { limit: { type: 'string', help: 'How many at most (default 50).' } },
    async run(invocation) {
      const query = new URLSearchParams({ limit: optional(invocation, 'limit') ?? '50' }).toString();
      const data = await invocation.call<{ dead_letters: readonly Letter[] }>(
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
    summary: 'Show one with its original content.',
    operands: [1, 1],
    async run(invocation) {
      const data = await invocation.call<Letter>(
        'GET',
        `/admin/v1/dead-letters/${encodeURIComponent(operand(invocation, 0))}`,
      );
      return {
        data,
        text: `${data.reason}\nFrom ${data.from} at ${data.at}, ${data.bytes} bytes\n\n${data.text}`,
      };
    },
  },
  {
    name: 'dead-letters replay',
    synopsis: 'LETTER_ID',
    summary: 'Send one again. Safe to repeat: an event that did arrive is counted once.',
    operands: [1, 1],
    async run(invocation) {
      const id = operand(invocation, 0);
      const data = await invocation.call('POST', `/admin/v1/dead-letters/${encodeURIComponent(id)}/replay`);
      return { data, text: `Sent ${id} again.` };
    },
  },
];
