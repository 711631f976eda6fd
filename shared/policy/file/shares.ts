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

/** The key `platform.shares` of a policy file. */
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
 * Limits of the part of each concurrent platform limit that one tenant or one address may hold, so that neither can hold
 * the whole limit. A share is at least one request. A share of 1 needs no limit of its own.
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

/** Names of the shares of a platform limit: no other limit may have them. */
export function shareNames(limit: string): string[] {
  return subjects.map(({ suffix }) => limit + suffix);
}
