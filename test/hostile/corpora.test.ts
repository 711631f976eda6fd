import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adminToken, createFixture } from '../integration/console/fixture.ts';
import type { Fixture } from '../integration/console/fixture.ts';
import { service, useApi } from '../integration/gateway/api.ts';
import { operationsOf } from '../support/openapi-document.ts';
import type { NamedOperation, OpenApiDocument } from '../support/openapi-document.ts';
import { uniqueName } from '../support/servers.ts';
import { hostileBodies } from './corpus/bodies.ts';
import { exchange } from './corpus/exchange.ts';
import type { Received, Sent } from './corpus/exchange.ts';
import { hostileHeaders, hostileQueries } from './corpus/fields.ts';
import type { HostileFields } from './corpus/fields.ts';

/**
 * Goal: a request that no client should send gets an error response that states the violation. Method: each hostile
 * body, query and header section is sent to every operation of both OpenAPI documents, each request on its own
 * connection. The status must be right for the case and listed in the document, an error must have a problem body, and
 * responses of the api listener must have the limit headers.
 */
const api = useApi();
let fixture: Fixture;
let adminUrl: string;
beforeAll(async () => {
  fixture = await createFixture();
  adminUrl = await fixture.adminApp.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(() => fixture.dispose());

interface Listener {
  readonly url: string;
  readonly document: OpenApiDocument;
  readonly credential: Readonly<Record<string, string>>;
  readonly limitHeaders: boolean;
}

const listeners: Readonly<Record<string, () => Promise<Listener>>> = {
  'the api listener': async () => ({
    url: api.gateway.apiUrl,
    document: (await api.call('GET', '/openapi.json')).json as unknown as OpenApiDocument,
    credential: service,
    limitHeaders: true,
  }),
  'the admin listener': async () => ({
    url: adminUrl,
    document: (await fixture.admin('GET /admin/openapi.json')).body as unknown as OpenApiDocument,
    credential: { authorization: `Bearer ${adminToken}` },
    limitHeaders: false,
  }),
};

/** This operation is left out: each call waits for the pipeline, also with hostile input. */
const slow = 'auditLosses';
/** Statuses that an operation may return for a request without hostile input. */
const plain = [200, 201, 202, 204, 400, 401, 403, 404, 409, 415, 422];
/** Paths that receive events. They check each event separately, so other statuses are right. */
const events = /\/events$/;

describe.each(Object.entries(listeners))('%s', (_name, open) => {
  test.each(hostileBodies)('a body of $name', async ({ bytes, type, right }) => {
    const listener = await open();
    for (const one of operationsOf(listener.document)) {
      if (one.operation.requestBody === undefined) continue;
      const headers = { 'content-type': type };
      // A request without the `ce-` headers is not an event, whatever its body contains.
      const statuses = events.test(one.path) ? [400, 413, 415] : right;
      await expectRight(listener, one, '', { method: one.method, headers, body: bytes }, statuses);
    }
  });

  const fields: readonly (readonly [string, HostileFields])[] = [
    ...hostileQueries.map((one) => [`a query of ${one.name}`, one] as const),
    ...hostileHeaders.map((one) => [`headers of ${one.name}`, one] as const),
  ];
  test.each(fields)('%s', async (_kind, { query = '', headers = {}, also, only }) => {
    const listener = await open();
    for (const one of operationsOf(listener.document)) {
      if (one.operation.operationId === slow) continue;
      await expectRight(listener, one, query, { method: one.method, headers }, only ?? [...plain, ...also]);
    }
  });

  test('afterwards it answers as before', async () => {
    const { url } = await open();
    const target = url === adminUrl ? '/healthz' : '/openapi.json';
    expect((await exchange(url, target, { method: 'GET' })).status).toBe(200);
  });
});

async function expectRight(
  { url, credential, limitHeaders }: Listener,
  { name, path, operation }: NamedOperation,
  query: string,
  sent: Sent,
  right: readonly number[],
): Promise<void> {
  const target = path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => valueOf(parameter));
  const answer = await exchange(url, target + query, {
    ...sent,
    headers: { ...credential, ...sent.headers },
  });
  const what = `${name}: ${answer.status} ${answer.text.slice(0, 300)}`;
  expect(right, what).toContain(answer.status);
  expect(Object.keys(operation.responses), what).toContain(String(answer.status));
  if (answer.status >= 400 && !isEventResult(answer)) expectProblem(answer, what);
  if (limitHeaders) {
    for (const header of ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'])
      expect(answer.headers[header], what).toMatch(/^\d+$/);
  }
  expect(answer.headers).not.toHaveProperty('x-injected');
}

function expectProblem({ status, headers, text }: Received, what: string): void {
  expect(headers['content-type'], what).toMatch(/^application\/problem\+json/);
  expect(JSON.parse(text)).toMatchObject({ status, detail: expect.stringMatching(/\w/) as string });
}

/** True for a response to published events: it has one result for each event instead of a problem body. */
function isEventResult({ headers, text }: Received): boolean {
  return String(headers['content-type']).startsWith('application/json') && text.includes('"results"');
}

function valueOf(parameter: string): string {
  if (parameter === 'letterId') return '9999-9999';
  if (parameter === 'linkId') return '019ab1c2-0000-7000-8000-000000000000';
  return parameter === 'name' ? 'tokens' : uniqueName('hostile');
}
