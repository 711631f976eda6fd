import type { Command, Invocation, Report } from '../command.ts';
import { UsageError, operand, optional } from '../command.ts';
import { createFlag, existingTenant } from './existing-tenant.ts';
import { pathOf } from './tenants.ts';

/**
 * Commands that change settings of a tenant and keep the others. The admin API checks the values; its error names the
 * field.
 */
export const settingsCommands: readonly Command[] = [
  {
    name: 'set',
    synopsis:
      'ID [--plan NAME] [--name TEXT] [--limits NAME=UNITS,…] [--group NAME] [--time-zone ZONE] [--billing-day DAY]',
    summary: 'Change settings of a tenant. “none” removes one.',
    operands: [1, 1],
    flags: {
      plan: { type: 'string', help: 'Plan; none: the plan of the token.' },
      name: { type: 'string', help: 'Display name.' },
      limits: { type: 'string', help: 'Overrides of limits, e.g. minute=500,day=none.' },
      group: { type: 'string', help: 'Group of tenants whose shared limits apply too.' },
      'time-zone': { type: 'string', help: 'IANA zone of the calendar quotas.' },
      'billing-day': { type: 'string', help: 'Day on which monthly quotas begin, 1 to 31.' },
      ...createFlag,
    },
    example: 'set acme --plan pro --limits minute=500',
    run: set,
  },
  {
    name: 'set-plan',
    synopsis: 'ID PLAN',
    summary: 'Change the plan of a tenant. “none”: the plan of its token.',
    operands: [2, 2],
    flags: createFlag,
    example: 'set-plan acme pro',
    async run(invocation) {
      const plan = operand(invocation, 1);
      const id = await existingTenant(invocation);
      const data = await invocation.call<object>('PATCH', pathOf(id), { plan: valueOf(plan) });
      return {
        data,
        text: plan === 'none' ? `${id} has the plan of its token.` : `${id} has the plan ${plan}.`,
      };
    },
  },
  {
    name: 'limit',
    synopsis: 'ID NAME=UNITS [NAME=UNITS …]',
    summary: 'Set limits of one tenant in place of the plan’s, without an end. “none” removes one.',
    operands: [2, 100],
    flags: createFlag,
    example: 'limit acme minute=500 day=none',
    async run(invocation) {
      const overrides = overridesOf(invocation.operands.slice(1).join(','));
      const id = await existingTenant(invocation);
      const data = await invocation.call<object>('PATCH', pathOf(id), { overrides });
      const set = Object.entries(overrides).map(([name, units]) =>
        units === null ? `“${name}” is the plan’s` : `“${name}” is ${units}`,
      );
      return { data, text: `Limits of ${id}: ${set.join(', ')}.` };
    },
  },
  {
    name: 'note',
    synopsis: 'ID TEXT',
    summary: 'Write the internal note about a tenant, which only operators read. “none” removes it.',
    operands: [2, 2],
    flags: createFlag,
    example: 'note acme "moves to pro in May, ticket 812"',
    async run(invocation) {
      const note = operand(invocation, 1);
      const id = await existingTenant(invocation);
      const text = note === 'none' ? '' : note;
      const data = await invocation.call<object>('PUT', `${pathOf(id)}/internal-note`, { text });
      return { data, text: text === '' ? `${id} has no note.` : `Wrote the note about ${id}.` };
    },
  },
];

async function set(invocation: Invocation): Promise<Report> {
  const limits = optional(invocation, 'limits');
  const patch = {
    plan: valueOf(optional(invocation, 'plan')),
    display_name: valueOf(optional(invocation, 'name')),
    group: valueOf(optional(invocation, 'group')),
    time_zone: valueOf(optional(invocation, 'time-zone')),
    billing_day: dayOf(optional(invocation, 'billing-day')),
    overrides: limits === undefined || limits === 'none' ? valueOf(limits) : overridesOf(limits),
  };
  if (Object.values(patch).every((value) => value === undefined))
    throw new UsageError('Name a setting to change.');
  const id = await existingTenant(invocation);
  const data = await invocation.call<object>('PATCH', pathOf(id), patch);
  return { data, text: `Changed ${id}.` };
}

/** Value of a setting in the merge patch. Null removes the setting; undefined leaves it out of the patch. */
function valueOf(text: string | undefined): string | null | undefined {
  return text === 'none' ? null : text;
}

function dayOf(text: string | undefined): number | null | undefined {
  const value = valueOf(text);
  if (typeof value !== 'string') return value;
  if (!/^\d{1,2}$/.test(value)) throw new UsageError(`“${value}” is not a day; write --billing-day 15.`);
  return Number(value);
}

function overridesOf(text: string): Record<string, number | null> {
  const pairs = text.split(',').map((pair) => {
    const [, name = '', value = ''] = /^([^=]+)=(none|\d+(?:\.\d+)?)$/.exec(pair) ?? [];
    const units = value === 'none' ? null : Number(value);
    if (name === '') throw new UsageError(`“${pair}” is not a limit; write minute=500 or minute=none.`);
    return [name, units] as const;
  });
  return Object.fromEntries(pairs);
}
