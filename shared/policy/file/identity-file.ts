import { Type } from 'typebox';
import { durationPattern } from '../../domain/time/duration.ts';
import { closed, duration, url } from './schema-parts.ts';

const claim = (what: string) =>
  Type.String({ minLength: 1, description: `the name of the claim that holds the ${what}` });

const jwtFile = Type.Object(
  {
    algorithms: Type.Array(
      Type.Enum([
        'HS256',
        'HS384',
        'HS512',
        'RS256',
        'RS384',
        'RS512',
        'PS256',
        'PS384',
        'PS512',
        'ES256',
        'ES384',
        'ES512',
        'EdDSA',
      ] as const),
      {
        minItems: 1,
        description:
          'a list of the algorithms to accept, e.g. [HS256] or [RS256, ES256]; "none" is never one',
      },
    ),
    secret_env: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
        description:
          'the name of the environment variable that holds the shared secret (the secret itself never stands here)',
      }),
    ),
    jwks_url: Type.Optional(url('where the public keys are')),
    jwks_max_stale: Type.Optional(duration('1d')),
    issuer: Type.Optional(Type.String({ minLength: 1, description: 'the issuer (iss) a token must name' })),
    audience: Type.Optional(
      Type.String({ minLength: 1, description: 'the audience (aud) a token must name' }),
    ),
    tenant: Type.Optional(
      Type.Union([claim('tenant'), Type.Array(claim('tenant'), { minItems: 1 })], {
        description:
          'the claim that holds the tenant, or a list tried in order, e.g. [tenant_id, workspace_id]',
      }),
    ),
    user: Type.Optional(claim('user')),
    plan: Type.Optional(claim('plan')),
    leeway: Type.Optional(
      Type.String({
        pattern: `^0s$|${durationPattern}`,
        description: 'how far clocks may be apart when exp and nbf are read, 0s to 5m, e.g. 30s',
      }),
    ),
    expiry: Type.Optional(
      Type.Enum(['required', 'optional'] as const, {
        description: 'required (a token without exp is refused) or optional',
      }),
    ),
  },
  { ...closed, description: '{ algorithms, secret_env or jwks_url, … }' },
);

const refusedFile = Type.Object(
  {
    limit: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description:
        'how many bad credentials an address may present in the window, and how many requests that cannot be served it may send: a whole number from 1',
    }),
    window: duration('1m'),
  },
  {
    ...closed,
    description:
      '{ limit, window } of bad credentials from one address, and of requests that cannot be served',
  },
);

/** The value of `identity` in a policy file. */
export const identityFile = Type.Object(
  {
    jwt: Type.Optional(jwtFile),
    anonymous: Type.Optional(
      Type.Enum(['ip', 'reject'] as const, {
        description: 'ip (callers without credentials are limited by address) or reject (they get a 401)',
      }),
    ),
    trusted_proxies: Type.Optional(
      Type.Array(Type.String({ description: 'an address or CIDR block, e.g. 10.0.0.0/8' }), {
        description: 'a list of CIDR blocks whose X-Forwarded-For is believed',
      }),
    ),
    refused: Type.Optional(refusedFile),
  },
  { ...closed, description: 'how callers are recognised: { jwt?, anonymous?, trusted_proxies?, refused? }' },
);
