import { roles } from '../../../shared/domain/operators/operator.ts';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RouteAccess } from '../../../shared/runtime/http/access.ts';
import { operationsOf } from '../../support/openapi-document.ts';
import type { OpenApiDocument } from '../../support/openapi-document.ts';
import { createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';
import { useApi } from '../gateway/api.ts';

// Goal: the OpenAPI document of each listener is complete, so that clients can be generated from it and fuzzers can
// check every response.

const api = useApi();
let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

interface Listener {
  readonly document: OpenApiDocument;
  readonly routes: readonly RouteAccess[];
}

const listeners: Readonly<Record<string, () => Promise<Listener>>> = {
  'the api listener': async () => ({
    document: (await api.call('GET', '/openapi.json')).json as unknown as OpenApiDocument,
    routes: api.gateway.api.routeAccess,
  }),
  'the admin listener': async () => ({
    document: (await fixture.admin('GET /admin/openapi.json')).body as unknown as OpenApiDocument,
    routes: fixture.adminApp.routeAccess,
  }),
};

/**
 * Routes that API clients do not call: probes, the document itself, and the ext-authz routes, which Envoy calls with
 * any method and path.
 */
const undescribed =
  /^\/(metrics|healthz|readyz|(admin\/)?openapi\.json|asyncapi\.json|schemas\/:message|v1\/ext-authz(\/\*)?)$/;
const security: Readonly<Record<string, readonly string[]>> = {
  credential: ['bearer', 'apiKey', 'serviceToken'],
  decision: ['', 'bearer', 'apiKey', 'serviceToken'],
  ...Object.fromEntries(roles.map((role) => [`operator-token:${role}`, ['admin']])),
};
const limitHeaders = [
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'RateLimit',
  'RateLimit-Policy',
];

describe.each(Object.entries(listeners))('the document of %s', (_name, read) => {
  test('names every route, with an id, a tag and a summary, and the security that its access needs', async () => {
    const { document, routes } = await read();
    const described = routes.filter(({ method, url }) => method !== 'HEAD' && !undescribed.test(url));
    const operations = new Map(operationsOf(document).map((one) => [one.name, one.operation]));
    const names = described.map(({ method, url }) => `${method} ${url.replaceAll(/:(\w+)/g, '{$1}')}`);
    expect([...operations.keys()].toSorted()).toEqual(names.toSorted());
    for (const [index, { access = '' }] of described.entries()) {
      const operation = operations.get(names[index] ?? '');
      expect(operation?.operationId, names[index]).toMatch(/^[a-z]\w+$/);
      expect(operation?.summary, names[index]).toMatch(/\w/);
      expect(document.tags.map((tag) => tag.name)).toContain(operation?.tags?.[0]);
      expect(operation?.security?.map((one) => Object.keys(one)[0] ?? '')).toEqual(security[access]);
    }
    const ids = [...operations.values()].map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(document.servers.length).toBeGreaterThan(0);
  });

  test('has a schema for every status: what is answered, and the one Problem for what is not', async () => {
    const { document } = await read();
    expect(Object.keys(document.components.schemas)).toEqual(['Problem']);
    for (const {
      name: operation,
      operation: { responses },
    } of operationsOf(document)) {
      const statuses = Object.keys(responses).map(Number);
      expect(
        statuses.filter((status) => status < 300),
        operation,
      ).toHaveLength(1);
      for (const status of [400, 401, 503]) expect(statuses, operation).toContain(status);
      for (const [status, { content, description }] of Object.entries(responses)) {
        expect(description, operation).toMatch(/\w/);
        const problem = { schema: { $ref: '#/components/schemas/Problem' } };
        if (Number(status) >= 400) expect(content?.['application/problem+json']).toEqual(problem);
        else if (content !== undefined)
          for (const { schema } of Object.values(content)) expect(schema, operation).toHaveProperty('type');
      }
    }
  });

  test('says of refusals when to come again and what credential is needed', async () => {
    const { document } = await read();
    for (const {
      operation: { responses },
    } of operationsOf(document)) {
      expect(responses['401']?.headers).toHaveProperty('WWW-Authenticate');
      expect(responses['503']?.headers).toHaveProperty('Retry-After');
    }
  });

  test('has examples that hold to their schemas', async () => {
    const { document } = await read();
    const ajv = new Ajv2020({ strict: false });
    addFormats.default(ajv);
    ajv.addFormat('time-zone', true);
    let seen = 0;
    for (const {
      name: operation,
      operation: { requestBody },
    } of operationsOf(document)) {
      for (const { schema = {}, example } of Object.values(requestBody?.content ?? {})) {
        for (const one of [...(schema.examples ?? []), ...(example === undefined ? [] : [example])]) {
          expect(ajv.validate(schema, one), `${operation}: ${ajv.errorsText()}`).toBe(true);
          seen += 1;
        }
      }
    }
    expect(seen).toBeGreaterThan(1);
  });

  test('is clean by the recommended rules of redocly', async () => {
    const { document } = await read();
    const dir = await mkdtemp(join(tmpdir(), 'tollgate-redocly-'));
    try {
      await writeFile(join(dir, 'openapi.json'), JSON.stringify(document));
      const { stdout } = await promisify(execFile)(
        process.execPath,
        [
          resolve('node_modules/.bin/redocly'),
          'lint',
          'openapi.json',
          '--extends=recommended',
          '--format=json',
        ],
        // Disables telemetry and the search for a newer version, because the test runs offline.
        {
          cwd: dir,
          env: { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
        },
      );
      expect(JSON.parse(stdout)).toMatchObject({ totals: { errors: 0, warnings: 0 }, problems: [] });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});

test('A5: every response of the api document names the limit headers', async () => {
  const { document } = await listeners['the api listener']!();
  for (const { name, operation } of operationsOf(document)) {
    for (const [status, { headers }] of Object.entries(operation.responses))
      for (const header of limitHeaders) expect(headers, `${name} ${status}`).toHaveProperty([header]);
  }
});
