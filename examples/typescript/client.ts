import createClient from 'openapi-fetch';
import type { paths as AdminPaths } from './tollgate-admin.d.ts';
import type { paths } from './tollgate.d.ts';

const environment = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`Set ${name}.`);
  return value;
};

const api = createClient<paths>({
  baseUrl: environment('TOLLGATE_API'),
  headers: { 'X-Service-Token': environment('TOLLGATE_SERVICE_TOKEN') },
});
const admin = createClient<AdminPaths>({
  baseUrl: environment('TOLLGATE_ADMIN'),
  headers: { Authorization: `Bearer ${environment('TOLLGATE_ADMIN_TOKEN')}` },
});

const tenant = process.env['TENANT'] ?? 'acme';

// Changes one setting and keeps the others. If a value is invalid, `error` is a problem that names the field.
const patched = await admin.PATCH('/admin/v1/tenants/{id}', {
  params: { path: { id: tenant }, header: { 'X-Actor': 'example' } },
  body: { plan: 'pro' },
});
if (patched.error !== undefined) throw new Error(patched.error.detail);
console.log(`plan: ${patched.data.plan ?? 'as its token says'}`);

// Checks one request. If it is refused, `error` is the problem to send to the client.
const decision = await api.POST('/v1/check', {
  body: { tenant_id: tenant, user: 'u1', method: 'POST', path: '/agent/chat' },
});
if (decision.data === undefined) throw new Error(decision.error.detail);
console.log(`allowed: ${decision.data.allowed}`);
console.log(
  `limits: ${decision.data.limits.map(({ name, remaining }) => `${name} ${remaining}`).join(', ')}`,
);

// Publishes usage that you measured yourself. An event that is sent again with the same id is not counted again.
const published = await api.POST('/v1/events', {
  headers: { 'content-type': 'application/cloudevents+json' },
  body: {
    specversion: '1.0',
    id: crypto.randomUUID(),
    source: 'example',
    type: 'tokens.used',
    subject: tenant,
    data: { units: 120 },
  },
});
console.log(`published: ${published.data?.accepted ?? 0}`);

const usage = await api.GET('/v1/usage', { params: { query: { tenant_id: tenant } } });
console.log(`requests today: ${usage.data?.today?.requests ?? 'unknown'}`);
