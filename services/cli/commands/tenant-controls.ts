import type { TestAlertAnswer, UndoneAnswer } from '../../../shared/admin-answers/change-answers.ts';
import type { Static } from 'typebox';
import type {
  boostAnswer,
  resetAllAnswer,
  tenantAnswer,
} from '../../../shared/admin-answers/answer-schemas.ts';
import type { Command, Flag, Invocation, Report } from '../command.ts';
import { instantExample, readInstant } from '../../../shared/domain/time/instant.ts';
import { UsageError, endAfter, operand, optional, required, table } from '../command.ts';
import { counted } from '../../../shared/domain/text/counted.ts';
import { entryId } from '../../../shared/tenants/record/audited-change.ts';
import { createFlag, existingTenant } from './existing-tenant.ts';
import { pathOf } from './tenants.ts';

/** Flag of the commands whose reason or answer the tenant reads. */
export const noteFlag: Readonly<Record<'note', Flag>> = {
  note: { type: 'string', help: 'Internal note, which only operators read; kept in the history.' },
};

/** Commands that change a tenant. */
export const tenantControls: readonly Command[] = [
  {
    name: 'reset',
    synopsis: 'ID | --all --yes',
    summary: "Empty a tenant's counters, or in an emergency those of all tenants.",
    operands: [0, 1],
    flags: {
      all: { type: 'boolean', help: 'All tenants.' },
      yes: { type: 'boolean', help: 'Needed with --all.' },
      reason: { type: 'string', help: 'Reason; kept in the history.' },
      ...createFlag,
    },
    example: 'reset acme --reason "double charge, ticket 812"',
    run: (invocation) => (invocation.flags['all'] === true ? resetAll(invocation) : resetOne(invocation)),
  },
  {
    name: 'boost',
    synopsis: 'ID --limit NAME (--multiply N | --set N) --for 7d --reason TEXT [--note TEXT]',
    summary: 'Raise a limit for a time. It ends by itself.',
    operands: [1, 1],
    flags: {
      limit: { type: 'string', help: 'Name of the limit, e.g. minute.' },
      multiply: { type: 'string', help: 'Factor, e.g. 2.' },
      set: { type: 'string', help: 'New value.' },
      for: { type: 'string', help: 'How long: 30m, 12h, 7d.' },
      from: { type: 'string', help: 'Start, e.g. 2026-12-24T00:00:00Z (default: now).' },
      reason: { type: 'string', help: 'Reason that the tenant reads; kept in the history.' },
      ...noteFlag,
      ...createFlag,
    },
    example: 'boost acme --limit minute --multiply 2 --for 7d --reason "launch week"',
    run: boost,
  },
  {
    name: 'boost-end',
    synopsis: 'ID BOOST_ID',
    summary: 'End a boost now.',
    operands: [2, 2],
    async run(invocation) {
      const [id, boostId] = [operand(invocation, 0), operand(invocation, 1)];
      await invocation.call('DELETE', `${pathOf(id)}/boosts/${encodeURIComponent(boostId)}`);
      return { data: { tenant_id: id, ended: boostId }, text: `Ended boost ${boostId} of ${id}.` };
    },
  },
  {
    name: 'block',
    synopsis: 'ID [--for 1h] --reason TEXT [--note TEXT]',
    summary: 'Refuse every request of a tenant, for a time or until lifted.',
    operands: [1, 1],
    flags: {
      for: { type: 'string', help: 'How long: 30m, 12h, 7d (default: until lifted).' },
      reason: { type: 'string', help: 'Reason that the tenant reads; kept in the history.' },
      ...noteFlag,
      ...createFlag,
    },
    example: 'block acme --for 1h --reason "Unpaid invoice"',
    async run(invocation) {
      const span = optional(invocation, 'for');
      const until = span === undefined ? null : endAfter(span, invocation.nowMs);
      const body = {
        until,
        reason: required(invocation, 'reason'),
        ...noteOf(invocation),
      };
      const id = await existingTenant(invocation);
      const data = await invocation.call('POST', `${pathOf(id)}/block`, body);
      return { data, text: `Blocked ${id} until ${until ?? 'lifted'}.` };
    },
  },
  {
    name: 'undo',
    synopsis: 'ID [CHANGE]',
    summary:
      'Undo the latest change of a tenant, or the change of this id, if no later one replaced its values.',
    operands: [1, 2],
    example: 'undo acme',
    async run(invocation) {
      const path = pathOf(operand(invocation, 0));
      const change = operand(invocation, 1) || (await latestChange(invocation, path));
      const body = change === '' ? {} : { change_id: change };
      const data = await invocation.call<UndoneAnswer>('POST', `${path}/undo`, body);
      return { data, text: data.detail };
    },
  },
  {
    name: 'alerts test',
    synopsis: 'ID [--target TARGET]',
    summary: 'Send a test message to the notification targets of a tenant.',
    operands: [1, 1],
    flags: {
      target: { type: 'string', help: 'Id of one target, e.g. email-0123456789abcdef (default: all).' },
    },
    example: 'alerts test acme',
    async run(invocation) {
      const id = operand(invocation, 0);
      const target = optional(invocation, 'target');
      const body = target === undefined ? {} : { target };
      const data = await invocation.call<TestAlertAnswer>('POST', `${pathOf(id)}/test-alert`, body);
      const rows = data.targets.map((one) => [one.id, one.channel, one.shown]);
      return { data, text: `Sent a test message to:\n${table(['TARGET', 'KIND', 'ADDRESS'], rows)}` };
    },
  },
  {
    name: 'alerts set',
    synopsis: 'ID LIMIT [--at SHARES] [--refusals N]',
    summary: 'Set when a tenant is notified of one limit. “none” removes a setting.',
    operands: [2, 2],
    flags: {
      at: { type: 'string', help: 'Of a calendar quota: used shares in percent, e.g. 70,90.' },
      refusals: {
        type: 'string',
        help: 'Of any other limit, also of requests at once: requests refused within a minute.',
      },
      ...createFlag,
    },
    example: 'alerts set acme chat --refusals 5',
    run: setAlerts,
  },
  {
    name: 'unblock',
    synopsis: 'ID',
    summary: 'Lift a block.',
    operands: [1, 1],
    async run(invocation) {
      const id = operand(invocation, 0);
      await invocation.call('DELETE', `${pathOf(id)}/block`);
      return { data: { tenant_id: id, blocked: false }, text: `Lifted the block of ${id}.` };
    },
  },
];

async function setAlerts(invocation: Invocation): Promise<Report> {
  const limit = operand(invocation, 1);
  const [at, refusals] = [optional(invocation, 'at'), optional(invocation, 'refusals')];
  if (at === undefined && refusals === undefined) throw new UsageError('Name --at or --refusals.');
  const setting = {
    ...(at === undefined ? {} : { thresholds: at === 'none' ? null : sharesOf(at) }),
    ...(refusals === undefined ? {} : { refusals: refusals === 'none' ? null : numberOf(refusals) }),
  };
  const id = await existingTenant(invocation);
  const data = await invocation.call('PATCH', pathOf(id), {
    notifications: { limits: { [limit]: setting } },
  });
  const texts = [
    ...(at === undefined ? [] : [at === 'none' ? 'no shares of its own' : `at ${at} percent`]),
    ...(refusals === undefined
      ? []
      : [
          refusals === 'none'
            ? 'no number of refusals of its own'
            : `from ${counted(numberOf(refusals), 'refusal')} in a minute`,
        ]),
  ];
  return { data, text: `Notifications of ${id} of “${limit}”: ${texts.join(', ')}.` };
}

/** Shares of a text in percent, `90,70`, in ascending order. */
function sharesOf(text: string): number[] {
  const shares = text.split(',').map((percent) => Math.round(numberOf(percent) * 100) / 10_000);
  return [...new Set(shares)].toSorted((a, b) => a - b);
}

function numberOf(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !Number.isFinite(number)) throw new UsageError(`“${text}” is not a number.`);
  return number;
}

/** The note of the flag `--note`, as the admin API names it. */
export function noteOf(invocation: Invocation): { readonly internal_note?: string } {
  const note = optional(invocation, 'note');
  return note === undefined ? {} : { internal_note: note };
}

/**
 * Id of the latest change, which is printed first. With the id, a repeated request undoes nothing else. Empty if the latest
 * change is an undo, or if there is none: then the API refuses the request.
 */
async function latestChange(invocation: Invocation, path: string): Promise<string> {
  // The id is a hash of the texts of the change, so they have to be unchanged.
  const { tenant_id: id, record } = await invocation.callUnchanged<Static<typeof tenantAnswer>>('GET', path);
  const [latest] = record?.history ?? [];
  if (latest === undefined || latest.undo_of !== undefined) return '';
  if (invocation.flags['json'] !== true)
    invocation.print({
      data: latest,
      text: `Latest change, by ${latest.actor}, ${latest.at}: ${latest.detail}`,
    });
  return entryId(id, latest);
}

async function resetOne(invocation: Invocation): Promise<Report> {
  const id = operand(invocation, 0);
  if (id === '') throw new UsageError('Name a tenant, or give --all --yes.');
  const reason = optional(invocation, 'reason');
  await existingTenant(invocation);
  const data = await invocation.call('POST', `${pathOf(id)}/reset`, reason === undefined ? {} : { reason });
  return { data, text: `Reset the counters of ${id}.` };
}

async function resetAll(invocation: Invocation): Promise<Report> {
  if (operand(invocation, 0) !== '') throw new UsageError('Give either a tenant or --all.');
  if (invocation.flags['yes'] !== true)
    throw new UsageError('This empties the counters of every tenant. Add --yes to do it.');
  const data = await invocation.call<Static<typeof resetAllAnswer>>('POST', '/admin/v1/reset', {
    confirm: 'reset all tenants',
  });
  return { data, text: `Reset all counters; ${counted(data.tenants, 'tenant')} had usage this month.` };
}

async function boost(invocation: Invocation): Promise<Report> {
  const [multiply, setTo] = [optional(invocation, 'multiply'), optional(invocation, 'set')];
  if ((multiply === undefined) === (setTo === undefined))
    throw new UsageError('Give either --multiply or --set.');
  const from = optional(invocation, 'from');
  const startMs = from === undefined ? invocation.nowMs : readInstant(from);
  if (startMs === null)
    throw new UsageError(`“${from ?? ''}” is not an RFC 3339 time; write ${instantExample}.`);
  const body = {
    limit: required(invocation, 'limit'),
    ...(multiply === undefined ? {} : { multiply: amount('multiply', multiply) }),
    ...(setTo === undefined ? {} : { set_to: amount('set', setTo) }),
    ...(from === undefined ? {} : { starts_at: new Date(startMs).toISOString() }),
    ends_at: endAfter(required(invocation, 'for'), startMs),
    reason: required(invocation, 'reason'),
    ...noteOf(invocation),
  };
  const id = await existingTenant(invocation);
  const data = await invocation.call<Static<typeof boostAnswer>>('POST', `${pathOf(id)}/boosts`, body);
  return { data, text: `Raised “${body.limit}” of ${id} until ${data.ends_at} (boost ${data.id}).` };
}

function amount(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new UsageError(`--${flag} is not a number: ${text}`);
  return value;
}
