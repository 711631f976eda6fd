// Goal: a test message by the admin API is in the audit trail with its actor, and a client learns when to retry.
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { registerTestAlert } from '../../../services/admin/tenants/test-alert.ts';
import type { Policy } from '../../../shared/domain/policy.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { systemClock } from '../../../shared/runtime/time/clock.ts';

const record: TenantRecord = {
  ...{ tenant_id: 'acme', updated_at: '2026-03-10T12:00:00Z', updated_by: 'kim' },
  ...{ plan: 'pro', notifications: { emails: ['dev@example.com'] } },
};

test('B12: each test message has an entry of the audit trail before it is sent; the sixth is refused with 429', async () => {
  const steps: object[] = [];
  const app = Fastify({ ajv: { customOptions: { strict: false } } });
  app.decorateRequest('operator', null);
  app.decorateRequest('actorNamed', null);
  app.addHook('onRequest', (request, _reply, done) => {
    request.operator = { name: 'kim', role: 'support' };
    done();
  });
  registerTestAlert(app, {
    audit: { append: (entry) => Promise.resolve(void steps.push(entry)) },
    testMessages: { send: ({ kind }) => Promise.resolve(void steps.push({ kind })) },
    directory: { get: () => record },
    policy: () => ({}) as Policy,
    clock: systemClock,
  });
  const send = () => app.inject({ method: 'POST', url: '/admin/v1/tenants/acme/test-alert', payload: {} });
  expect((await send()).statusCode).toBe(200);
  expect(steps).toMatchObject([
    { actor: 'kim', source: 'admin-api', tenant_id: 'acme', action: 'test-alert' },
    { kind: 'test' },
  ]);
  for (let count = 2; count <= 5; count++) expect((await send()).statusCode).toBe(200);
  const refused = await send();
  expect(refused.statusCode).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(590);
  expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(600);
  expect(steps).toHaveLength(10);
});
