import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import type { Access } from './access.ts';
import { problemMedia, problemSchema, problemTitles } from './problem-schema.ts';

type Json = Readonly<Record<string, unknown>>;

/** Description of a header field in the OpenAPI document. */
export interface HeaderDescription {
  readonly description: string;
  readonly schema: Json;
}

export type HeaderDescriptions = Readonly<Record<string, HeaderDescription>>;

declare module 'fastify' {
  interface FastifySchema {
    /**
     * Statuses of the route's problem responses, besides the statuses that every route may send. Only for the OpenAPI
     * document.
     */
    problems?: readonly number[];
    /** Schema of the body, for a route that does not validate its body with a schema. Only for the OpenAPI document. */
    documentedBody?: object;
    /** Request headers that the route reads. Only for the OpenAPI document: they are not validated. */
    requestHeaders?: HeaderDescriptions;
    /** Response headers by status, besides the headers that every response has. Only for the OpenAPI document. */
    responseHeaders?: Readonly<Record<number, HeaderDescriptions>>;
  }
}

/** The parts of a listener's OpenAPI document that its routes do not declare. */
export interface ApiDescription {
  readonly title: string;
  readonly description: string;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly securitySchemes: Json;
  /** Alternative security requirements for each access: a request must meet one of them. */
  readonly security: Partial<
    Readonly<Record<Access, readonly Readonly<Record<string, readonly string[]>>[]>>
  >;
  /** Statuses of the problem responses that every route may send. */
  readonly problems: readonly number[];
  /** Headers of every response. */
  readonly responseHeaders: HeaderDescriptions;
}

/**
 * Describes the listener as an OpenAPI 3.1 document, which `app.swagger()` returns. A route's schema has `operationId`,
 * `tags`, `summary`, `response` for its successful responses, and `problems` for the statuses of its error responses.
 * The security requirements follow from the route's access. Call this function before any route is registered.
 */
export async function describeApi(app: FastifyInstance, api: ApiDescription): Promise<void> {
  app.addSchema(problemSchema);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: api.title,
        version: '1',
        description: api.description,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'The listener that serves this document.' }],
      tags: api.tags.map((tag) => ({ ...tag })),
      components: { securitySchemes: api.securitySchemes as never, headers: componentHeaders(api) as never },
    },
    refResolver: { buildLocalReference: (schema) => (schema as { readonly $id: string }).$id },
    transform: ({ schema, url, route }) => ({ schema: documented(schema, route, api), url }),
    transformObject: (found) =>
      'openapiObject' in found ? completed(found.openapiObject as never, api) : {},
  });
}

/**
 * Adds to a route's schema what only the document needs: problem responses, headers, and the security requirements of
 * its access.
 */
function documented(
  schema: FastifySchema | undefined,
  route: RouteOptions,
  api: ApiDescription,
): FastifySchema {
  if (schema === undefined || schema.hide === true) return { hide: true };
  const {
    problems = [],
    requestHeaders = {},
    responseHeaders = {},
    documentedBody,
    response = {},
    ...rest
  } = schema;
  const statuses = new Set([...api.problems, ...problems, ...problemsOf(route)]);
  const responses = new Map(
    Object.entries(response as Readonly<Record<string, object>>).map(([status, own]) => [
      status,
      asResponse(own),
    ]),
  );
  for (const status of statuses) {
    responses.set(String(status), withProblem(status, responses.get(String(status))));
  }
  for (const [status, headers] of Object.entries(responseHeaders)) {
    const response = responses.get(status) ?? asResponse({ type: 'null' });
    responses.set(status, { ...response, headers: flattened(headers) });
  }
  return {
    ...rest,
    ...(documentedBody === undefined ? {} : { body: documentedBody }),
    security: (api.security[route.config?.access ?? 'public'] ?? []).map((one) => toMutable(one)),
    ...(Object.keys(requestHeaders).length === 0 ? {} : { headers: headersSchema(requestHeaders) }),
    response: Object.fromEntries([...responses].toSorted(([a], [b]) => a.localeCompare(b))),
  };
}

/** Statuses of the problem responses that follow from the inputs of a route: a body, and parameters in its path. */
function problemsOf({ method, url }: RouteOptions): readonly number[] {
  const hasBody = [method].flat().some((one) => one !== 'GET' && one !== 'HEAD');
  return [...(hasBody ? [413, 415] : []), ...(url.includes(':') ? [404] : [])];
}

interface Response {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
  readonly type?: string;
  readonly headers?: object;
}

/** Converts a schema, or schemas by media type, to a response of the document. */
function asResponse(own: Partial<Response>): Response {
  const { description = 'The response.' } = own;
  if (own.content !== undefined || own.type === 'null') return { ...own, description };
  return { description, content: { 'application/json': { schema: own } } };
}

/** Adds the problem body to the body that the route itself declares for this status. */
function withProblem(status: number, own: Response | undefined): Response {
  const problem = { [problemMedia]: { schema: { $ref: `${problemSchema.$id}#` } } };
  return {
    description: problemTitles[status] ?? 'Problem',
    content: { ...own?.content, ...problem },
  };
}

function headersSchema(headers: HeaderDescriptions): object {
  return { type: 'object', properties: flattened(headers) };
}

/** Converts header descriptions to the form of @fastify/swagger: the schema of each header contains its description. */
function flattened(headers: HeaderDescriptions): Readonly<Record<string, object>> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, { description, schema }]): [string, object] => [
      name,
      { ...schema, description },
    ]),
  );
}

const retryAfter: HeaderDescription = {
  description: 'Whole seconds after which the same request may succeed.',
  schema: { type: 'integer', minimum: 1 },
};
const shouldRetry: HeaderDescription = {
  description: '`false` if the wait is longer than a minute, or if no wait helps; otherwise absent.',
  schema: { type: 'string', enum: ['false'] },
};
const authenticate: HeaderDescription = {
  description: 'The scheme of the credential that is needed.',
  schema: { type: 'string' },
};

function componentHeaders({ problems, responseHeaders }: ApiDescription): HeaderDescriptions {
  return {
    ...responseHeaders,
    'Retry-After': retryAfter,
    'WWW-Authenticate': authenticate,
    // Only listeners with limits send this field, and a component that no response refers to is a warning.
    ...(problems.includes(429) ? { 'X-Should-Retry': shouldRetry } : {}),
  };
}

interface Operation {
  readonly responses: Record<string, { headers?: object }>;
  requestBody?: { required?: boolean; readonly content: Record<string, { schema?: BodySchema }> };
}

interface BodySchema {
  readonly anyOf?: readonly { readonly type?: string }[];
}

interface ApiDocument {
  readonly paths: Record<string, Record<string, Operation>>;
}

/** Adds to the document what @fastify/swagger cannot express. */
function completed(document: ApiDocument, api: ApiDescription): object {
  const described = new Set(Object.keys(componentHeaders(api)));
  for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    nameHeaders(operation, Object.keys(api.responseHeaders), described);
    leaveOutNull(operation);
  }
  return document;
}

/**
 * Lists the headers of every response: the headers of all responses, the headers of its status that the document describes,
 * and its own headers.
 */
function nameHeaders(
  { responses }: Operation,
  everywhere: readonly string[],
  described: ReadonlySet<string>,
): void {
  for (const [status, response] of Object.entries(responses)) {
    const ofStatus = (statusHeaders[status] ?? []).filter((name) => described.has(name));
    const names = [...everywhere, ...ofStatus];
    const references = names.map((name) => [name, { $ref: `#/components/headers/${name}` }] as const);
    response.headers = { ...Object.fromEntries(references), ...response.headers };
  }
}

/** Marks a body that may be null as optional, because the routes read a missing body as null. */
function leaveOutNull({ requestBody }: Operation): void {
  for (const media of Object.values(requestBody?.content ?? {})) {
    const [schema, other] = media.schema?.anyOf ?? [];
    if (requestBody === undefined || schema === undefined || other?.type !== 'null') continue;
    requestBody.required = false;
    media.schema = schema as BodySchema;
  }
}

const statusHeaders: Readonly<Record<string, readonly string[]>> = {
  401: ['WWW-Authenticate'],
  429: ['Retry-After', 'X-Should-Retry'],
  503: ['Retry-After'],
};

function toMutable(requirement: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(requirement).map(([name, scopes]) => [name, [...scopes]]));
}
