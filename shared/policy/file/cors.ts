import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { CorsPolicy } from '../../domain/policy.ts';
import type { Limit, Mode } from '../../domain/limit.ts';
import { durationMs } from '../../domain/time/duration.ts';
import { requestsName } from '../../domain/usage/quantity.ts';
import type { Violations } from './violations.ts';
import { closed, duration } from './schema-parts.ts';

/** The value of `cors` in a policy file. */
export const corsFile = Type.Object(
  {
    origins: Type.Array(
      Type.String({ description: 'an origin such as https://app.example.com, or "*" for every origin' }),
      { minItems: 1, uniqueItems: true, description: 'a list of origins, e.g. [https://app.example.com]' },
    ),
    credentials: Type.Optional(
      Type.Boolean({ description: 'true if pages send cookies or client certificates, else false' }),
    ),
    max_age: Type.Optional(duration('10m')),
    exposed_headers: Type.Optional(
      Type.Array(
        Type.String({
          pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$",
          description: 'the name of a header field',
        }),
        {
          uniqueItems: true,
          description: 'a list of header fields that pages may read besides the limit headers',
        },
      ),
    ),
    preflights: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'the preflights a minute that one address may send: a whole number from 1',
      }),
    ),
  },
  { ...closed, description: '{ origins, credentials?, max_age?, exposed_headers?, … }' },
);

type CorsFile = Static<typeof corsFile>;

const maxAgeDefault = '10m';
const preflightsDefault = 600;
/** The response headers from which a page reads the state of its limits. */
const limitHeaders = [
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'x-should-retry',
  'x-tollgate-decision',
];

export function checkCors(file: CorsFile | undefined, violations: Violations): void {
  for (const [index, origin] of (file?.origins ?? []).entries()) {
    if (origin === '*') {
      if (file?.credentials === true) {
        violations.add(
          ['cors', 'origins', index],
          'cannot be combined with credentials: true, which browsers allow for named origins only',
        );
      }
    } else if (!isOrigin(origin)) {
      violations.add(
        ['cors', 'origins', index],
        `"${origin}" is not an origin; write only scheme, host and port, in lower case, e.g. https://app.example.com`,
      );
    }
  }
}

function isOrigin(text: string): boolean {
  return /^https?:\/\/[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

export function compileCors(file: CorsFile | undefined): CorsPolicy | null {
  if (file === undefined) return null;
  const others = (file.exposed_headers ?? []).map((name) => name.toLowerCase());
  return {
    origins: file.origins.includes('*') ? null : new Set(file.origins),
    credentials: file.credentials ?? false,
    maxAgeSeconds: Math.floor((durationMs(file.max_age ?? maxAgeDefault) ?? 0) / 1_000),
    exposedHeaders: [...new Set([...limitHeaders, ...others])],
  };
}

/** Limit of preflight requests, which no other limit counts. */
export function compilePreflightLimit(file: CorsFile | undefined, mode: Mode): Limit {
  const limit = file?.preflights ?? preflightsDefault;
  const common = { of: requestsName, type: 'sliding' as const, period: null, burst: 0, route: null };
  return { name: 'preflight', per: ['ip'], limit, windowMs: 60_000, mode, ...common };
}
