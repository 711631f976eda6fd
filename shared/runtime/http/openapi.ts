import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import type { Access } from './access.ts';
import { problemMedia, problemSchema, problemTitles } from './problem-schema.ts';

type Json = Readonly<Record<string, unknown>>;

/** Description of a header field. */
export interface HeaderDescription {
  readonly description: string;
  readonly schema: Json;
}

export type HeaderDescriptions = Readonly<Record<string, HeaderDescription>>;

declare module 'fastify' {
  interface FastifySchema {
    /** Statuses of problems of the route besides those of every route. For the document only. */
    problems?: readonly number[];
    /** Body of a route that reads it without a schema. For the document only. */
    documentedBody?: object;
    /** Header fields that the route reads. For the document only: they are not validated. */
    requestHeaders?: HeaderDescriptions;
    /** Header fields of responses besides those of every response, by status. For the document only. */
    responseHeaders?: Readonly<Record<number, HeaderDescriptions>>;
  }
}

/** Parts of the document of a listener that its routes do not define. */
export interface ApiDescription {
  readonly title: string;
  readonly description: string;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly securitySchemes: Json;
  /** Security schemes of each access; any one of them suffices. */
  readonly security: Partial<
    Readonly<Record<Access, readonly Readonly<Record<string, readonly string[]>>[]>>
  >;
  /** Statuses of problems of every route. */
  readonly problems: readonly number[];
  /** Header fields of every response. */
  readonly responseHeaders: HeaderDescriptions;
}

/**
 * Describes the listener as OpenAPI 3.1, returned by `app.swagger()`. The schema of a route has `operationId`, `tags`,
 * `summary`, `response` for successful responses, and `problems` for the statuses of the others. Security follows from the
 * access of the route. Must be called before any route is registered.
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

/** Completes an operation: removes the document-only parts of its schema and adds security and problems. */
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

/** Problems of every route that reads a body or parameters of its path. */
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

/** A response of the document from a schema, or from media types with schemas. */
function asResponse(own: Partial<Response>): Response {
  const { description = 'The response.' } = own;
  if (own.content !== undefined || own.type === 'null') return { ...own, description };
  return { description, content: { 'application/json': { schema: own } } };
}

/** The problem of a status, merged with the response of the route of that status. */
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

/** Header fields in the form of @fastify/swagger: the description is part of each schema. */
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

/** Adds the parts that @fastify/swagger cannot express. */
function completed(document: ApiDocument, api: ApiDescription): object {
  for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
    nameHeaders(operation, Object.keys(api.responseHeaders));
    leaveOutNull(operation);
  }
  return document;
}

/** Adds header fields to a response: those of all responses, of its status, and of its route. */
function nameHeaders({ responses }: Operation, everywhere: readonly string[]): void {
  for (const [status, response] of Object.entries(responses)) {
    const names = [...everywhere, ...(statusHeaders[status] ?? [])];
    const references = names.map((name) => [name, { $ref: `#/components/headers/${name}` }] as const);
    response.headers = { ...Object.fromEntries(references), ...response.headers };
  }
}

/** A body that may be null may also be absent. */
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
