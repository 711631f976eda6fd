import { operand } from '../command.ts';
import type { Flag, Invocation } from '../command.ts';
import { ApiRefusal, CliFailure } from '../installation.ts';
import { pathOf } from './tenants.ts';

/** Flag of the commands that write the record of a tenant. */
export const createFlag: Readonly<Record<'create', Flag>> = {
  create: { type: 'boolean', help: 'Also for an id without a record and without usage.' },
};

/**
 * Id of the tenant from the first operand. An id that has neither a record nor usage is most probably mistyped, and a
 * record with it would have no effect: it is refused without `--create`.
 */
export async function existingTenant(invocation: Invocation): Promise<string> {
  const id = operand(invocation, 0);
  if (invocation.flags['create'] === true) return id;
  try {
    await invocation.call('GET', pathOf(id));
  } catch (error) {
    if (!(error instanceof ApiRefusal) || error.status !== 404) throw error;
    throw new CliFailure(
      `There is no tenant “${id}”: it has no record, and no usage was ever recorded for it. Add --create to write a record.`,
      { cause: error },
    );
  }
  return id;
}
