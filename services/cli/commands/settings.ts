import type { Command, Invocation, Report } from '../command.ts';
import { UsageError, operand, optional } from '../command.ts';
import { pathOf } from './tenants.ts';

/** Changes what is named and keeps the rest; the admin API says which field is wrong. */
export const settingsCommand: Command = {
  name: 'set',
  synopsis: 'ID [--plan NAME] [--name TEXT] [--limits NAME=UNITS,…] [--time-zone ZONE]',
  summary: 'Change settings of a tenant. “none” removes one.',
  operands: [1, 1],
  flags: {
    plan: { type: 'string', help: 'Plan, or none: as its token says.' },
    name: { type: 'string', help: 'Name that people read.' },
    limits: { type: 'string', help: 'Limits of its own, e.g. minute=500,day=none.' },
    'time-zone': { type: 'string', help: 'IANA zone of its calendar quotas.' },
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
    time_zone: valueOf(optional(invocation, 'time-zone')),
    overrides: limits === undefined || limits === 'none' ? valueOf(limits) : overridesOf(limits),
  };
  if (Object.values(patch).every((value) => value === undefined)) throw new UsageError('Say what to change.');
  const data = await invocation.call<object>('PATCH', pathOf(id), patch);
  return { data, text: `Changed ${id}.` };
}

/** As a merge patch has it: null removes, undefined is not sent. */
function valueOf(text: string | undefined): string | null | undefined {
  return text === 'none' ? null : text;
}

function overridesOf(text: string): Record<string, number | null> {
  const pairs = text.split(',').map((pair) => {
    const [name = '', value = ''] = pair.split('=');
    const units = value === 'none' ? null : Number(value);
    if (name === '' || value === '' || Number.isNaN(units))
      throw new UsageError(`“${pair}” is no limit; write minute=500 or minute=none.`);
    return [name, units] as const;
  });
  return Object.fromEntries(pairs);
}
