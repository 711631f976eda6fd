import type { Static } from 'typebox';
import type { reservationsAnswer } from '../../../shared/admin-answers/answer-schemas.ts';
import type { Command } from '../command.ts';
import { optional, table } from '../command.ts';

const headings = ['STATE', 'ENDS', 'TENANT', 'ROUTE', 'MODEL', 'BY', 'NODE', 'RESERVED', 'RESERVATION'];

export const reservationsCommand: Command = {
  name: 'reservations list',
  synopsis: '[--tenant ID] [--expired] [--hours N] [--limit N]',
  summary: 'List the reservations of calls in progress, and expired ones that were never settled.',
  operands: [0, 0],
  flags: {
    tenant: { type: 'string', help: 'Calls of this tenant.' },
    expired: { type: 'boolean', help: 'Only reservations whose end has passed.' },
    hours: { type: 'string', help: 'Calls of this many hours before now (default 48).' },
    limit: { type: 'string', help: 'How many at most (default 100).' },
  },
  example: 'reservations list --expired',
  async run(invocation) {
    const [tenant, hours, limit] = ['tenant', 'hours', 'limit'].map((name) => optional(invocation, name));
    const query = new URLSearchParams({
      ...(tenant === undefined ? {} : { tenant_id: tenant }),
      ...(invocation.flags['expired'] === true ? { expired: 'true' } : {}),
      ...(hours === undefined ? {} : { hours }),
      ...(limit === undefined ? {} : { limit }),
    }).toString();
    const data = await invocation.call<Static<typeof reservationsAnswer>>(
      'GET',
      `/admin/v1/reservations?${query}`,
    );
    const rows = data.reservations.map((one) => [
      one.expired ? 'expired' : 'open',
      one.expires_at,
      ...[one.tenant_id, one.route, one.model, one.entrypoint, one.node],
      Object.entries(one.reserved)
        .map(([name, amount]) => `${amount} ${name}`)
        .join(', '),
      one.reservation_id,
    ]);
    const lines = [
      rows.length === 0 ? 'None.' : table(headings, rows),
      ...(data.more ? ['There are more: name a tenant, or a larger --limit.'] : []),
      `Complete through ${data.complete_through ?? 'no event yet'}.`,
    ];
    return { data, text: lines.join('\n') };
  },
};
