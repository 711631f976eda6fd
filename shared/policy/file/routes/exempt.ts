import { Type } from 'typebox';
import type { Static } from 'typebox';
import { eventBounds } from '../../../domain/events/bounds.ts';
import type { Route } from '../../../domain/policy.ts';
import { priceOf } from '../../../domain/money.ts';
import { reserveDefaults } from '../../../domain/usage/usage-reading.ts';
import { isAddressBlock, isEveryAddress } from '../../address-blocks.ts';
import { closed } from '../schema-parts.ts';
import type { Violations } from '../violations.ts';

/** The value of `exempt` in a policy file. */
export const exemptFile = Type.Object(
  {
    addresses: Type.Optional(
      Type.Array(Type.String({ description: 'an address or CIDR block, e.g. 10.1.2.3 or 10.1.0.0/16' }), {
        maxItems: 256,
        description: 'a list of addresses and CIDR blocks of clients',
      }),
    ),
    routes: Type.Optional(
      Type.Array(
        Type.String({
          maxLength: eventBounds.routeLengthMax,
          description: 'METHOD /path, e.g. "GET /healthz"',
        }),
        { description: 'a list of routes, e.g. [GET /healthz]' },
      ),
    ),
  },
  { ...closed, description: '{ addresses?, routes? }: requests to which no limit applies' },
);

type ExemptFile = Static<typeof exemptFile>;

/** The routes of `exempt`. They take part in the matching of routes like all others. */
export function compileExemptRoutes(file: ExemptFile | undefined): Route[] {
  return (file?.routes ?? []).map((match) => ({
    match,
    exempt: true,
    limits: [],
    cost: 1,
    messageCost: null,
    price: 0,
    unitPrice: priceOf(0),
    usage: null,
    reserve: reserveDefaults,
    charge: null,
  }));
}

/** Checks the addresses of `exempt`; its routes are checked together with all others. */
export function checkExemptAddresses(file: ExemptFile | undefined, violations: Violations): void {
  for (const [index, block] of (file?.addresses ?? []).entries()) {
    const at = ['exempt', 'addresses', index];
    if (!isAddressBlock(block))
      violations.add(
        at,
        `"${block}" is not an address or CIDR block; write one like 10.1.2.3 or 10.1.0.0/16`,
      );
    else if (isEveryAddress(block))
      violations.add(at, `"${block}" exempts every client; to try limits without refusals, set mode: shadow`);
  }
}
