import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Limit } from '../../domain/limit.ts';
import type { ApiLimits } from '../../domain/policy.ts';
import { durationMs } from '../../domain/time/duration.ts';
import { requestsName } from '../../domain/usage/quantity.ts';
import { closed, duration } from './schema-parts.ts';

const amountFile = (what: string, limitMin: number) =>
  Type.Object(
    {
      limit: Type.Integer({
        minimum: limitMin,
        maximum: 1_000_000_000,
        description: `a whole number of ${what}, ${limitMin} or more`,
      }),
      window: duration('1m'),
    },
    { ...closed, description: `{ limit, window } of ${what}` },
  );

/** Limits of a tenant's calls on the API listener, either for all plans or for a single plan. */
export const apiFile = Type.Object(
  {
    requests: Type.Optional(amountFile('calls that read or manage', 1)),
    events: Type.Optional(amountFile('published events', 1)),
    event_bytes: Type.Optional(amountFile('bytes of published events', 1_048_576)),
  },
  { ...closed, description: '{ requests?, events?, event_bytes? }' },
);

type ApiFile = Static<typeof apiFile>;
type Kind = keyof ApiFile;

const minuteMs = 60_000;
const defaults: Readonly<Record<Kind, { limit: number; windowMs: number }>> = {
  requests: { limit: 1_200, windowMs: minuteMs },
  events: { limit: 12_000, windowMs: minuteMs },
  event_bytes: { limit: 32 * 1_048_576, windowMs: minuteMs },
};

/** A value of a plan has precedence over the value for all plans, which has precedence over the default. */
export function compileApiLimits(general: ApiFile | undefined, own: ApiFile | undefined): ApiLimits {
  const limit = (kind: Kind): readonly Limit[] => {
    const file = own?.[kind] ?? general?.[kind];
    const amount =
      file === undefined
        ? defaults[kind]
        : { limit: file.limit, windowMs: durationMs(file.window) ?? minuteMs };
    return [
      {
        // This name is unique, because names of limits in a policy contain no dot.
        name: `api.${kind}`,
        of: requestsName,
        per: ['tenant'],
        type: 'sliding',
        limit: amount.limit,
        windowMs: amount.windowMs,
        period: null,
        burst: 0,
        mode: 'enforce',
        route: null,
      },
    ];
  };
  return { requests: limit('requests'), events: limit('events'), eventBytes: limit('event_bytes') };
}
