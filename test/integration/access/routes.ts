import { adminPolicySamples } from './policy-routes.ts';
import { inAnHour, json, show, tenant } from './sample.ts';
import type { Sample, Samples } from './sample.ts';

export const opsSamples: Samples = {
  'GET /healthz': () => ({ path: '/healthz', status: 200 }),
  'GET /readyz': () => ({ path: '/readyz', status: 200 }),
  'GET /metrics': () => ({ path: '/metrics', status: 200 }),
};

const admin = '/admin/v1';

export const adminSamples: Samples = {
  ...opsSamples,
  'GET /admin/openapi.json': () => ({ path: '/admin/openapi.json', status: 200 }),
  'GET /admin/v1/tenants': () => ({ path: `${admin}/tenants`, status: 200 }),
  'GET /admin/v1/tenants/:id': () => ({ path: `${admin}/tenants/${tenant()}`, status: 404 }),
  'PUT /admin/v1/tenants/:id': () => ({ path: `${admin}/tenants/${tenant()}`, body: json({}), status: 200 }),
  'PATCH /admin/v1/tenants/:id': () => ({
    path: `${admin}/tenants/${tenant()}`,
    body: json({}),
    status: 200,
  }),
  'DELETE /admin/v1/tenants/:id': () => ({ path: `${admin}/tenants/${tenant()}`, status: 404 }),
  'GET /admin/v1/tenants/:id/status': () => ({ path: `${admin}/tenants/${tenant()}/status`, status: 200 }),
  'POST /admin/v1/tenants/:id/reset': () => ({ path: `${admin}/tenants/${tenant()}/reset`, status: 200 }),
  'POST /admin/v1/tenants/:id/block': () => ({
    path: `${admin}/tenants/${tenant()}/block`,
    body: json({ reason: 'walked' }),
    status: 200,
  }),
  'DELETE /admin/v1/tenants/:id/block': () => ({ path: `${admin}/tenants/${tenant()}/block`, status: 404 }),
  'GET /admin/v1/tenants/:id/boosts': () => ({ path: `${admin}/tenants/${tenant()}/boosts`, status: 200 }),
  'POST /admin/v1/tenants/:id/boosts': () => ({
    path: `${admin}/tenants/${tenant()}/boosts`,
    body: json({ limit: 'minute', multiply: 2, ends_at: inAnHour(), reason: 'walked' }),
    status: 201,
  }),
  'DELETE /admin/v1/tenants/:id/boosts/:boostId': () => ({
    path: `${admin}/tenants/${tenant()}/boosts/none`,
    status: 404,
  }),
  'PUT /admin/v1/tenants/:id/internal-note': () => ({
    path: `${admin}/tenants/${tenant()}/internal-note`,
    body: json({ text: 'walked' }),
    status: 200,
  }),
  'POST /admin/v1/tenants/:id/test-alert': () => ({
    path: `${admin}/tenants/${tenant()}/test-alert`,
    body: json({}),
    status: 404,
  }),
  'POST /admin/v1/tenants/:id/undo': () => ({
    path: `${admin}/tenants/${tenant()}/undo`,
    body: json({}),
    status: 404,
  }),
  'GET /admin/v1/requests': () => ({ path: `${admin}/requests`, status: 200 }),
  'POST /admin/v1/tenants/:id/requests/:requestId/approve': () => ({
    path: `${admin}/tenants/${tenant()}/requests/none/approve`,
    status: 404,
  }),
  'POST /admin/v1/tenants/:id/requests/:requestId/decline': () => ({
    path: `${admin}/tenants/${tenant()}/requests/none/decline`,
    body: json({ answer: 'walked' }),
    status: 404,
  }),
  'GET /admin/v1/tenants/:id/api-keys': () => ({
    path: `${admin}/tenants/${tenant()}/api-keys`,
    status: 200,
  }),
  'POST /admin/v1/tenants/:id/api-keys': () => ({
    path: `${admin}/tenants/${tenant()}/api-keys`,
    status: 201,
  }),
  'POST /admin/v1/tenants/:id/api-keys/:hashPrefix/roll': () => ({
    path: `${admin}/tenants/${tenant()}/api-keys/0123456789/roll`,
    body: json({ overlap: '24h' }),
    status: 404,
  }),
  'DELETE /admin/v1/tenants/:id/api-keys/:hashPrefix': () => ({
    path: `${admin}/tenants/${tenant()}/api-keys/0123456789`,
    status: 404,
  }),
  ...adminPolicySamples,
  'POST /admin/v1/reset': () => ({ path: `${admin}/reset`, body: json({ confirm: 'no' }), status: 400 }),
  'POST /admin/v1/portal-links': () => ({
    path: `${admin}/portal-links`,
    body: json({ tenant_id: 'walked' }),
    status: 201,
  }),
  'DELETE /admin/v1/tenants/:id/portal-links/:linkId': () => ({
    path: `${admin}/tenants/${tenant()}/portal-links/none`,
    status: 400,
  }),
  'DELETE /admin/v1/tenants/:id/sessions': () => ({
    path: `${admin}/tenants/${tenant()}/sessions`,
    status: 204,
  }),
  'GET /admin/v1/tenants/:id/usage': () => ({ path: `${admin}/tenants/${tenant()}/usage`, status: 404 }),
  'GET /admin/v1/events': () => ({ path: `${admin}/events`, status: 200 }),
  'GET /admin/v1/decisions/:decisionId': () => ({ path: `${admin}/decisions/none`, status: 404 }),
  'GET /admin/v1/audit': () => ({ path: `${admin}/audit`, status: 200 }),
  'GET /admin/v1/dead-letters': () => ({ path: `${admin}/dead-letters?limit=0`, status: 400 }),
  'GET /admin/v1/dead-letters/:letterId': () => ({ path: `${admin}/dead-letters/none`, status: 400 }),
  'POST /admin/v1/dead-letters/:letterId/replay': () => ({
    path: `${admin}/dead-letters/none/replay`,
    status: 400,
  }),
  'POST /admin/v1/dead-letters/replay': () => ({
    path: `${admin}/dead-letters/replay`,
    body: json({}),
    status: 400,
  }),
  'GET /admin/v1/reservations': () => ({ path: `${admin}/reservations`, status: 200 }),
  'POST /admin/v1/loss-audit': () => ({ path: `${admin}/loss-audit?hours=0`, status: 400 }),
};

/** This method needs content. */
const query = (path: string) => (): Sample => ({ path, body: '{}', status: 200 });

/** The proxy has one route for every method and path; the upstream responds. */
export const gatewaySamples: Samples = {
  '* /*': show('/any/path'),
  'QUERY /*': query('/any/path'),
};

export function apiSamples(tenantId: string): Samples {
  /** A request that names a tenant: a credential of another tenant is refused with 403. */
  const named = (path: string, status: number, body?: object) => (): Sample => ({
    path,
    ...(body === undefined ? {} : { body: json(body) }),
    status: { 'another tenant’s': 403, other: status },
  });
  const own = `tenant_id=${tenantId}`;
  const settlement = { tenant_id: tenantId, usage: {} };
  return {
    'GET /openapi.json': show('/openapi.json'),
    'GET /asyncapi.json': show('/asyncapi.json'),
    'GET /schemas/:message': show('/schemas/none.json', 404),
    'GET /v1/authz': show('/v1/authz'),
    '* /v1/ext-authz': show('/v1/ext-authz'),
    '* /v1/ext-authz/*': show('/v1/ext-authz/any/path'),
    'QUERY /v1/ext-authz': query('/v1/ext-authz'),
    'QUERY /v1/ext-authz/*': query('/v1/ext-authz/any/path'),
    'POST /v1/check': named('/v1/check', 200, { tenant_id: tenantId, method: 'GET', path: '/', peek: true }),
    'POST /v1/events': () => ({ path: '/v1/events', body: '{}', status: 415 }),
    'POST /api/v1/events': () => ({ path: '/api/v1/events', body: '{}', status: 400 }),
    'GET /v1/usage': named(`/v1/usage?${own}`, 200),
    'GET /v1/limits': named(`/v1/limits?${own}`, 200),
    'GET /v1/meters': show('/v1/meters'),
    'GET /v1/meters/:name/query': show(`/v1/meters/none/query?${own}`, 400),
    'GET /v1/decisions/:id': show('/v1/decisions/none', 404),
    'POST /v1/decisions/:id/outcome': () => ({
      path: '/v1/decisions/none/outcome',
      body: json({ status: 200, latency_ms: 1 }),
      status: 404,
    }),
    'POST /v1/outcomes': () => ({ path: '/v1/outcomes', body: json({ outcomes: [] }), status: 400 }),
    'POST /v1/reservations/:id/settle': named('/v1/reservations/none/settle', 404, settlement),
    'POST /v1/reservations/:id/extend': named('/v1/reservations/none/extend', 404, settlement),
    'POST /v1/reservations/:id/cancel': named('/v1/reservations/none/cancel', 404, { tenant_id: tenantId }),
    'POST /v1/reservations/settle': named('/v1/reservations/settle', 200, {
      tenant_id: tenantId,
      settlements: [{ id: 'none', usage: {} }],
    }),
    'POST /v1/sessions': named('/v1/sessions', 201, { session_id: 'walked', tenant_id: tenantId }),
    'PUT /v1/sessions/:id': named(`/v1/sessions/none?kind=none&${own}`, 400),
    'DELETE /v1/sessions/:id': named(`/v1/sessions/none?kind=none&${own}`, 400),
  };
}
