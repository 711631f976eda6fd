// Goal: while the tenant records are not read (a gateway that starts during an outage of Kafka), a credential that depends on them
// is never called invalid: the response is a 503 that says when to send it again, at every entrypoint.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';

let areRead = false;
let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({
    policy: { plans: '\n  free: { limits: [{ name: minute, per: tenant, limit: 1000, window: 1m }] }' },
    recordsReady: () => areRead,
  });
});
afterAll(() => gateway.close());
beforeEach(() => {
  areRead = false;
});

const key = 'tgk_of_a_tenant_whose_record_is_not_read';
const described = { 'x-original-method': 'GET', 'x-original-uri': '/x' };

test.each([
  ['the proxy', () => gateway.proxyUrl, '/x', {}],
  ['GET /v1/usage', () => gateway.apiUrl, '/v1/usage', {}],
  ['GET /v1/authz', () => gateway.apiUrl, '/v1/authz', described],
  ['ext_authz', () => gateway.apiUrl, '/v1/ext-authz/x', {}],
])(
  '%s answers 503 with Retry-After to an API key, and 401 once the records are read',
  async (...entrypoint) => {
    const [, url, path, fields] = entrypoint;
    for (const credential of [{ 'x-api-key': key }, { authorization: `Bearer ${key}` }]) {
      areRead = false;
      const headers = { ...fields, ...credential };
      const early = await fetch(url() + path, { headers });
      expect(early.status).toBe(503);
      expect(early.headers.get('retry-after')).toBe('1');
      expect(early.headers.get('x-should-retry')).toBeNull();
      const detail = 'The API key cannot be looked up yet; try again in a moment.';
      expect(await early.json()).toMatchObject({ status: 503, detail, error: detail });
      areRead = true;
      const late = await fetch(url() + path, { headers });
      expect(late.status).toBe(401);
      expect(late.headers.get('retry-after')).toBeNull();
      expect(await late.json()).toMatchObject({ error: 'The API key is unknown.' });
    }
  },
);
