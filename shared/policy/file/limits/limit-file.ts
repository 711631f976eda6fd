import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Limit, LimitType, Mode } from '../../../domain/limit.ts';
import { billingDayMax } from '../../../domain/time/calendar-name.ts';
import { calendarPeriod, durationMs } from '../../../domain/time/duration.ts';
import { amountMax, requestsName } from '../../../domain/usage/quantity.ts';
import type { Quantity } from '../../../domain/usage/quantity.ts';
import { closed, duration, mode, name } from '../schema-parts.ts';

/** The crosscheck verifies that the word is known. */
const per = Type.String({ pattern: '^[a-z][a-z0-9_]{0,47}$' });

/** Amounts of other quantities than `requests` may have decimals, which only the crosscheck can bound. */
const amount = (what: string) =>
  Type.Number({
    minimum: 0,
    maximum: 1_000_000_000_000,
    description: `a whole number of ${what}, or an amount of the quantity "of"`,
  });

const limitFile = Type.Object(
  {
    name: name('the limit; records and boosts refer to it'),
    of: Type.Optional(
      Type.String({
        minLength: 1,
        description: 'what is counted: requests (units of calls), or the name of one of the quantities',
      }),
    ),
    per: Type.Union([per, Type.Array(per, { minItems: 1, uniqueItems: true })], {
      description:
        'whose usage is counted: tenant, user, ip, global, key or an attribute, or a list of them, e.g. [tenant, user]',
    }),
    type: Type.Optional(
      Type.Enum(['sliding', 'quota', 'concurrent'] as const, {
        description: 'sliding (any span of the window), quota (a calendar period) or concurrent (at once)',
      }),
    ),
    limit: amount('units, 0 (refuse everything) or more'),
    by_plan: Type.Optional(
      Type.Record(Type.String(), amount('units, 0 (refuse everything) or more'), {
        description: 'plan names with the limit each has instead of "limit", on a route only',
      }),
    ),
    window: Type.Optional(duration('1m')),
    billing_day: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: billingDayMax,
        description:
          'the day on which months begin for tenants without a billing day of their own, 1 to 31 (in a shorter month its last day)',
      }),
    ),
    carry_over: Type.Optional(
      Type.Union(
        [
          Type.Literal(true),
          Type.Object({ limit: amount('units that are carried over at most') }, { ...closed }),
        ],
        {
          description:
            'true (all unused units of a quota are added to the next period) or { limit } (at most this many)',
        },
      ),
    ),
    burst: Type.Optional(amount('extra units, 0 or more')),
    mode: Type.Optional(mode),
    lease: Type.Optional(
      Type.Boolean({
        description:
          'false: gateways never lease units of the limit, so Redis counts each one when it is used',
      }),
    ),
  },
  { ...closed, description: 'a limit: { name, per, limit, window }' },
);

export const limitsFile = Type.Array(limitFile, { description: 'a list of limits' });

export type LimitFile = Static<typeof limitFile>;

/** Settings of the file that apply to all its limits. */
export interface LimitContext {
  readonly mode: Mode;
  readonly quantities: ReadonlyMap<string, Quantity>;
}

/** `plan`: the plan whose value of `by_plan` applies; null: none. */
export function compileLimit(
  file: LimitFile,
  route: string | null,
  { mode: ofPolicy, quantities }: LimitContext,
  plan: string | null,
): Limit {
  const type: LimitType = file.type ?? 'sliding';
  const of = file.of ?? requestsName;
  // The crosscheck has verified that the product is a whole number, apart from the error of the multiplication.
  const smallest = (value: number): number => Math.round(value * 10 ** (quantities.get(of)?.decimals ?? 0));
  const limit = smallest((plan === null ? undefined : file.by_plan?.[plan]) ?? file.limit);
  const { carry_over: carryOver } = file;
  const most = typeof carryOver === 'object' ? smallest(carryOver.limit) : amountMax;
  return {
    name: file.name,
    of,
    per: Array.isArray(file.per) ? file.per : [file.per],
    type,
    limit,
    windowMs: type === 'concurrent' ? 0 : (durationMs(file.window ?? '') ?? 0),
    period: type === 'quota' ? calendarPeriod(file.window ?? '') : null,
    ...(file.billing_day === undefined ? {} : { billingDay: file.billing_day }),
    ...(carryOver === undefined ? {} : { carryOver: { base: limit, most } }),
    burst: smallest(file.burst ?? 0),
    mode: ofPolicy === 'shadow' ? 'shadow' : (file.mode ?? 'enforce'),
    route,
    ...(file.lease === false ? { lease: false } : {}),
  };
}
