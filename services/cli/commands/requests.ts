import type { LimitRequestAnswer, RequestsAnswer } from '../../../shared/admin-answers/request-answers.ts';
import { spanText } from '../../../shared/domain/time/duration.ts';
import type { Command, Invocation, Report } from '../command.ts';
import { UsageError, endAfter, operand, optional, required, table } from '../command.ts';
import { noteFlag, noteOf } from './tenant-controls.ts';
import { pathOf } from './tenants.ts';

const headings = ['STATE', 'SINCE', 'TENANT', 'LIMIT', 'NOW', 'WANTED', 'FOR', 'REQUEST', 'REASON'];

/** Commands for the requests of tenants for higher limits. */
export const requestCommands: readonly Command[] = [
  {
    name: 'requests list',
    synopsis: '[--state STATE] [--tenant ID] [--limit N]',
    summary: 'List the requests of tenants for higher limits; only open ones, unless a state is named.',
    operands: [0, 0],
    flags: {
      state: { type: 'string', help: 'open (default), approved, declined, withdrawn or all.' },
      tenant: { type: 'string', help: 'Requests of this tenant.' },
      limit: { type: 'string', help: 'How many at most (default 100).' },
    },
    example: 'requests list --state all --tenant acme',
    run: list,
  },
  {
    name: 'requests approve',
    synopsis: 'TENANT REQUEST [--set N] [--for 7d | --permanent] [--answer TEXT] [--note TEXT]',
    summary: 'Approve a request: as requested, or with another value or duration.',
    operands: [2, 2],
    flags: {
      set: { type: 'string', help: 'Value in place of the requested one.' },
      for: { type: 'string', help: 'Duration in place of the requested one: 30m, 12h, 7d.' },
      permanent: {
        type: 'boolean',
        help: 'Without an end: an override in place of a boost. Needs the role admin.',
      },
      answer: { type: 'string', help: 'Text that the tenant reads.' },
      ...noteFlag,
    },
    example: 'requests approve acme 019aa4c2-6f00-7abc-8def-0123456789ab --set 500 --for 7d',
    run: approve,
  },
  {
    name: 'requests decline',
    synopsis: 'TENANT REQUEST --answer TEXT [--note TEXT]',
    summary: 'Decline a request. The tenant reads the answer.',
    operands: [2, 2],
    flags: { answer: { type: 'string', help: 'Text that the tenant reads.' }, ...noteFlag },
    async run(invocation) {
      const answer = required(invocation, 'answer');
      const data = await invocation.call<LimitRequestAnswer>('POST', `${requestPath(invocation)}/decline`, {
        answer,
        ...noteOf(invocation),
      });
      return { data, text: `Declined: “${data.limit}” of ${operand(invocation, 0)} stays as it is.` };
    },
  },
];

function requestPath(invocation: Invocation): string {
  return `${pathOf(operand(invocation, 0))}/requests/${encodeURIComponent(operand(invocation, 1))}`;
}

async function list(invocation: Invocation): Promise<Report> {
  const state = optional(invocation, 'state') ?? 'open';
  const [tenant, limit] = [optional(invocation, 'tenant'), optional(invocation, 'limit')];
  const query = new URLSearchParams({
    ...(state === 'all' ? {} : { state }),
    ...(tenant === undefined ? {} : { tenant_id: tenant }),
    ...(limit === undefined ? {} : { limit }),
  }).toString();
  const data = await invocation.call<RequestsAnswer>('GET', `/admin/v1/requests?${query}`);
  const rows = data.requests.map(({ tenant_id: id, request }) => [
    ...[request.state, request.created_at, id, request.limit],
    request.current ?? 'unknown',
    request.wanted,
    request.for_seconds === undefined ? 'ever' : spanText(request.for_seconds),
    ...[request.id, request.reason],
  ]);
  const lines = [
    rows.length === 0 ? 'None.' : table(headings, rows),
    ...(data.more ? ['There are more: name a tenant, or a larger --limit.'] : []),
  ];
  return { data, text: lines.join('\n') };
}

async function approve(invocation: Invocation): Promise<Report> {
  const [setTo, span, answer] = ['set', 'for', 'answer'].map((name) => optional(invocation, name));
  const permanent = invocation.flags['permanent'] === true;
  if (permanent && span !== undefined) throw new UsageError('Give either --for or --permanent.');
  const value = Number(setTo);
  if (setTo !== undefined && (setTo.trim() === '' || !Number.isFinite(value)))
    throw new UsageError(`--set is not a number: ${setTo}`);
  const data = await invocation.call<LimitRequestAnswer>('POST', `${requestPath(invocation)}/approve`, {
    ...(setTo === undefined ? {} : { set_to: value }),
    ...(permanent ? { ends_at: null } : {}),
    ...(span === undefined ? {} : { ends_at: endAfter(span, invocation.nowMs) }),
    ...(answer === undefined ? {} : { answer }),
    ...noteOf(invocation),
  });
  const end = data.ends_at === undefined ? 'without an end' : `until ${data.ends_at}`;
  const text = `Approved: “${data.limit}” of ${operand(invocation, 0)} is ${data.granted ?? data.wanted} ${end}.`;
  return { data, text };
}
