import type { Static } from 'typebox';
import type { linkAnswer } from '../../../shared/admin-answers/answer-schemas.ts';
import type { Command } from '../command.ts';
import { operand, optional } from '../command.ts';
import { pathOf } from './tenants.ts';

/** Commands for the access to a tenant's portal. */
export const portalCommands: readonly Command[] = [
  {
    name: 'portal-link',
    synopsis: 'ID [--ttl 24h] [--session-ttl 8h]',
    summary: "Issue a signed link that opens a tenant's portal.",
    operands: [1, 1],
    flags: {
      ttl: {
        type: 'string',
        help: 'How long the link opens the portal: 15m, 24h, 30d at most (default 1h).',
      },
      'session-ttl': {
        type: 'string',
        help: 'Duration of a session that the link opens: 8h at most (default 1h).',
      },
    },
    async run(invocation) {
      const ttl = optional(invocation, 'ttl') ?? '1h';
      const body = {
        tenant_id: operand(invocation, 0),
        ttl,
        session_ttl: optional(invocation, 'session-ttl') ?? '1h',
      };
      const data = await invocation.call<Static<typeof linkAnswer>>('POST', '/admin/v1/portal-links', body);
      return { data, text: `${data.url}\nOpens until ${data.expires_at}. Its id is ${data.link_id}.` };
    },
  },
  {
    name: 'portal-link-end',
    synopsis: 'ID LINK',
    summary: 'End a portal link and the sessions that it opened.',
    operands: [2, 2],
    async run(invocation) {
      const [id, link] = [operand(invocation, 0), operand(invocation, 1)];
      await invocation.call('DELETE', `${pathOf(id)}/portal-links/${encodeURIComponent(link)}`);
      return {
        data: { tenant_id: id, link_id: link, ended: true },
        text: `Ended the link ${link} of ${id}.`,
      };
    },
  },
  {
    name: 'sign-out',
    synopsis: 'ID',
    summary: "End all of a tenant's portal links and sessions.",
    operands: [1, 1],
    async run(invocation) {
      const id = operand(invocation, 0);
      await invocation.call('DELETE', `${pathOf(id)}/sessions`);
      return {
        data: { tenant_id: id, signed_out: true },
        text: `Ended all portal links and sessions of ${id}.`,
      };
    },
  },
];
