import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Limit } from '../../domain/limit.ts';

const share = (whose: string) =>
  Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 1,
      description: `the share of the platform's concurrent requests that ${whose} may hold, above 0 and up to 1, e.g. 0.25`,
    }),
  );

/** The value of `platform.shares` in a policy file. */
export const sharesFile = Type.Object(
  { tenant: share('one tenant'), address: share('one address') },
  { additionalProperties: false, description: '{ tenant?, address? }' },
);

type SharesFile = Static<typeof sharesFile>;

const shareDefault = 0.25;
const subjects = [
  { per: 'tenant', suffix: '-tenant' },
  { per: 'ip', suffix: '-address' },
] as const;

/**
 * For each concurrent platform limit, the limits of the share that a single tenant and a single address may hold.
 * They prevent one tenant or one address from holding the whole limit. A share is at least one request. For a share
 * of 1 no limit is needed.
 */
export function compileShares(platform: readonly Limit[], file: SharesFile = {}): Limit[] {
  return platform
    .filter(({ type }) => type === 'concurrent')
    .flatMap((limit) =>
      subjects.flatMap(({ per, suffix }) => {
        const part = (per === 'tenant' ? file.tenant : file.address) ?? shareDefault;
        if (part === 1 || limit.limit === 0) return [];
        const most = Math.max(1, Math.floor(limit.limit * part));
        return [{ ...limit, name: limit.name + suffix, per: [per], limit: most, perNode: true as const }];
      }),
    );
}

/** Names of the share limits of a platform limit. No other limit may have these names. */
export function shareNames(limit: string): string[] {
  return subjects.map(({ suffix }) => limit + suffix);
}
