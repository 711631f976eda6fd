import { Type } from 'typebox';
import type { Static } from 'typebox';
import { eventBounds } from '../../domain/events/bounds.ts';
import { apiFile } from './api-limits.ts';
import { attributesFile } from './attributes.ts';
import { chargeFile } from './charge.ts';
import { corsFile } from './cors.ts';
import { identityFile } from './identity-file.ts';
import { limitsFile } from './limits/limit-file.ts';
import { metersFile } from './meters.ts';
import { requestsFile } from './requests.ts';
import { closed, duration, mode, name, units, url } from './schema-parts.ts';
import { exemptFile } from './routes/exempt.ts';
import { sharesFile } from './shares.ts';
import { pricesFile } from './usage/prices.ts';
import { quantitiesFile } from './usage/quantities.ts';
import { reserveFile, usageFile } from './usage/usage-file.ts';

/** A larger price could lose digits in dashboards, which compute with doubles. */
const planPriceMax = 1_000_000_000;

const planFile = Type.Object(
  {
    limits: limitsFile,
    slow_down: Type.Optional(
      Type.Object(
        {
          from: Type.Number({
            minimum: 0,
            exclusiveMaximum: 1,
            description:
              'the share of a limit from which requests are delayed, 0 up to but not including 1, e.g. 0.8',
          }),
          max_delay: duration('500ms'),
        },
        { ...closed, description: '{ from, max_delay }' },
      ),
    ),
    charge: Type.Optional(chargeFile),
    api: Type.Optional(apiFile),
    price: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: planPriceMax,
        description: `what a tenant of the plan pays for a calendar month, from 0 to ${planPriceMax}`,
      }),
    ),
  },
  { ...closed, description: 'a plan: { limits: [ … ], slow_down?, charge?, api?, price? }' },
);

const routeFile = Type.Object(
  {
    match: Type.String({
      maxLength: eventBounds.routeLengthMax,
      description: 'METHOD /path, e.g. "POST /agent/chat", "* /agents/*/runs" or "GET /files/**"',
    }),
    limits: Type.Optional(limitsFile),
    cost: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: 'the units of one call: a whole number from 1',
      }),
    ),
    websocket: Type.Optional(
      Type.Object(
        {
          message_cost: Type.Integer({
            minimum: 1,
            maximum: 1_000_000_000,
            description: 'the units of each message from the client: a whole number from 1',
          }),
        },
        { ...closed, description: '{ message_cost }' },
      ),
    ),
    usage: Type.Optional(usageFile),
    reserve: Type.Optional(reserveFile),
    charge: Type.Optional(chargeFile),
    price: Type.Optional(
      Type.Number({ minimum: 0, maximum: 1_000_000, description: 'money per unit, from 0 to 1000000' }),
    ),
  },
  {
    ...closed,
    description: 'a route: { match, limits?, cost?, price?, websocket?, usage?, reserve?, charge? }',
  },
);

const sessionFile = Type.Object(
  {
    per: Type.Union(
      [
        Type.Enum(['tenant', 'user'] as const),
        Type.Array(Type.Enum(['tenant', 'user'] as const), { minItems: 1, uniqueItems: true }),
      ],
      {
        description: 'tenant, user, or both as a list',
      },
    ),
    limit: units,
    ttl: duration('60s'),
  },
  { ...closed, description: '{ per, limit, ttl }' },
);

const serviceFile = Type.Object(
  {
    name: name('the service'),
    token_sha256: Type.Optional(
      Type.String({
        pattern: '^[0-9a-f]{64}$',
        description: "the token's SHA-256 as 64 lower-case hex digits",
      }),
    ),
    token_env: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z_][A-Za-z0-9_]*$',
        description: 'the name of the environment variable that holds the token',
      }),
    ),
  },
  { ...closed, description: 'an internal service: { name, token_sha256 or token_env }' },
);

const keyed = <Value extends ReturnType<typeof Type.Object>>(value: Value, description: string) =>
  Type.Record(Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$' }), value, {
    ...closed,
    description,
  });

/** The policy file as its author writes it. `policies/schema.json` is generated from this. */
export const policyFileSchema = Type.Object(
  {
    version: Type.Literal(1, { description: '1, the version of this format' }),
    links: Type.Object(
      { documentation: url('where limits are explained'), upgrade: url('where a bigger plan is bought') },
      { ...closed, description: '{ documentation, upgrade }: the URLs a refusal names' },
    ),
    currency: Type.Optional(
      Type.String({
        pattern: '^[A-Z]{3}$',
        description: 'the currency of all prices and costs, an ISO 4217 code such as EUR',
      }),
    ),
    upstream: Type.Optional(url('the API to protect; TOLLGATE_UPSTREAM has precedence')),
    requests: Type.Optional(requestsFile),
    identity: Type.Optional(identityFile),
    quantities: Type.Optional(quantitiesFile),
    prices: Type.Optional(pricesFile),
    attributes: Type.Optional(attributesFile),
    default_plan: name('the plan of tenants that have no other'),
    plans: keyed(planFile, 'plans by name'),
    groups: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^([A-Za-z0-9][A-Za-z0-9_-]{0,63}|\\*)$' }),
        Type.Object({ limits: limitsFile }, { ...closed, description: 'a group: { limits: [ … ] }' }),
        { ...closed, description: 'limits of groups of tenants by name, "*" for all other groups' },
      ),
    ),
    routes: Type.Optional(Type.Array(routeFile, { description: 'a list of routes' })),
    platform: Type.Optional(
      Type.Object(
        { limits: limitsFile, shares: Type.Optional(sharesFile) },
        { ...closed, description: '{ limits: [ … ], shares? } that count the whole platform' },
      ),
    ),
    api: Type.Optional(apiFile),
    cors: Type.Optional(corsFile),
    sessions: Type.Optional(keyed(sessionFile, 'kinds of sessions by name')),
    services: Type.Optional(Type.Array(serviceFile, { description: 'a list of internal services' })),
    exempt: Type.Optional(exemptFile),
    alerts: Type.Optional(
      Type.Object(
        {
          thresholds: Type.Array(
            Type.Number({
              exclusiveMinimum: 0,
              maximum: 1,
              description: 'a share of a limit above 0 and up to 1',
            }),
            { minItems: 1, uniqueItems: true, description: 'a list of shares of a limit, e.g. [0.8, 1.0]' },
          ),
        },
        { ...closed, description: '{ thresholds: [ … ] }' },
      ),
    ),
    portal: Type.Optional(
      Type.Object(
        {
          keys: Type.Optional(
            Type.Union([Type.Literal('manage'), Type.Literal('view'), Type.Literal('off')], {
              description: 'what tenants may do with their API keys in the portal: manage, view or off',
            }),
          ),
        },
        { ...closed, description: '{ keys }: what tenants may do in the portal' },
      ),
    ),
    meters: Type.Optional(metersFile),
    mode: Type.Optional(mode),
  },
  { ...closed, description: 'a mapping with version, links, default_plan and plans' },
);

export type PolicyFile = Static<typeof policyFileSchema>;

/** The published JSON Schema, for editors and other tools. */
export function publishedSchema(): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Tollgate policy',
    ...policyFileSchema,
  };
}
