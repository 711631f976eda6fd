import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import type { Access } from './access.ts';
import { problemMedia, problemSchema, problemTitles } from './problem-schema.ts';

type Json = Readonly<Record<string, unknown>>;

/** A header field as the document describes it. */
export interface HeaderDescription {
  readonly description: string;
  readonly schema: Json;
}

export type HeaderDescriptions = Readonly<Record<string, HeaderDescription>>;

declare module 'fastify' {
  interface FastifySchema {
    /** Statuses of problems that the route answers besides those of every route. For the document only. */
    problems?: readonly number[];
    /** The body of a route that reads it without a schema. For the document only. */
    documentedBody?: object;
    /** Fields that the route reads. For the document only: they are not validated. */
    requestHeaders?: HeaderDescriptions;
    /** Fields of a response besides those of every response, by status. For the document only. */
    responseHeaders?: Readonly<Record<number, HeaderDescriptions>>;
  }
}

/** What the document of a listener says besides what its routes say. */
export interface ApiDescription {
  readonly title: string;
  readonly description: string;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly securitySchemes: Json;
  /** How each access is obtained: any one of these. */
  readonly security: Partial<
    Readonly<Record<Access, readonly Readonly<Record<string, readonly string[]>>[]>>
  >;
  /** Statuses of problems that any route may answer. */
  readonly problems: readonly number[];
  /** Fields that every response carries. */
  readonly responseHeaders: HeaderDescriptions;
}

/**
 * Describes the listener as OpenAPI 3.1, by `app.swagger()`. A route says in its schema: `operationId`, `tags`, `summary`,
 * `response` for what it answers where it succeeds, and `problems` for the statuses where it does not. Security follows
 * from the route's access. Call it before any route is registered.
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
      servers: [{ url: '/', description: 'The listener that answers this document.' }],
      tags: api.tags.map((tag) => ({ ...tag })),
      components: { securitySchemes: api.securitySchemes as never, headers: componentHeaders(api) as never },
    },
    refResolver: { buildLocalReference: (schema) => (schema as { readonly $id: string }).$id },
    transform: ({ schema, url, route }) => ({ schema: documented(schema, route, api), url }),
    transformObject: (found) =>
      'openapiObject' in found ? completed(found.openapiObject as never, api) : {},
  });
}

/** What each operation of the document is left out of the route's own schema, and what follows from its access. */
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

/** Problems that follow from what a route reads: a body, and parameters of its path. */
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

/** A schema, or media types with theirs, as a response of the document. */
function asResponse(own: Partial<Response>): Response {
  const { description = 'The answer.' } = own;
  if (own.content !== undefined || own.type === 'null') return { ...own, description };
  return { description, content: { 'application/json': { schema: own } } };
}

/** The problem, beside what the route itself answers with this status. */
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

/** As @fastify/swagger takes them: the schema of each, with the description in it. */
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
const authenticate: HeaderDescription = {
  description: 'The scheme of the credential that is needed.',
  schema: { type: 'string' },
};

function componentHeaders({ responseHeaders }: ApiDescription): HeaderDescriptions {
  return { ...responseHeaders, 'Retry-After': retryAfter, 'WWW-Authenticate': authenticate };
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

/** What @fastify/swagger has no words for. */
function completed(document: ApiDocument, api: ApiDescription): object {
  for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    nameHeaders(operation, Object.keys(api.responseHeaders));
    leaveOutNull(operation);
  }
  return document;
}

/** Every response names the fields it carries: those of all of them, those of its status, and its own. */
function nameHeaders({ responses }: Operation, everywhere: readonly string[]): void {
  for (const [status, response] of Object.entries(responses)) {
    const names = [...everywhere, ...(statusHeaders[status] ?? [])];
    const references = names.map((name) => [name, { $ref: `#/components/headers/${name}` }] as const);
    response.headers = { ...Object.fromEntries(references), ...response.headers };
  }
}

/** A body that may be null may be absent: that is how the routes read it. */
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
  429: ['Retry-After'],
  503: ['Retry-After'],
};

function toMutable(requirement: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(requirement).map(([name, scopes]) => [name, [...scopes]]));
}
