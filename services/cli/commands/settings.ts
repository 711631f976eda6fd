import type { Command, Invocation, Report } from '../command.ts';
import { UsageError, operand, optional } from '../command.ts';
import { pathOf } from './tenants.ts';

/**
 * Command that changes the named settings of a tenant and keeps the others. The admin API checks the values; its
 * error names the field.
 */
export const settingsCommand: Command = {
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
  },
  example: 'set acme --plan pro --limits minute=500',
  run: set,
};

async function set(invocation: Invocation): Promise<Report> {
  const id = operand(invocation, 0);
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
    const [name = '', value = ''] = pair.split('=');
    const units = value === 'none' ? null : Number(value);
    if (name === '' || value === '' || Number.isNaN(units))
      throw new UsageError(`“${pair}” is not a limit; write minute=500 or minute=none.`);
    return [name, units] as const;
  });
  return Object.fromEntries(pairs);
}
