import { Type } from 'typebox';
import type { Static } from 'typebox';
import { limitRequestSchema } from '../tenants/record/schema.ts';

/** Response bodies of the operations on tenants' requests for higher limits. */
const listed = Type.Object(
  {
    tenant_id: Type.String(),
    display_name: Type.Unsafe<string | null>({ type: ['string', 'null'] }),
    request: limitRequestSchema,
  },
  { additionalProperties: false },
);

export const requestsAnswer = Type.Object(
  {
    requests: Type.Array(listed),
    open: Type.Integer({ minimum: 0, description: 'Open requests of all tenants.' }),
    more: Type.Boolean({ description: 'There are more requests than `limit`.' }),
  },
  { additionalProperties: false },
);

export type RequestsAnswer = Static<typeof requestsAnswer>;
export type LimitRequestAnswer = Static<typeof limitRequestSchema>;
