import { uniqueName } from '../../support/servers.ts';
import { adminToken } from '../console/fixture.ts';
import { adminPolicySamples, consolePolicySamples } from './policy-routes.ts';

/** A sample request to a route, and the status of its response with a valid credential. */
export interface Sample {
  readonly path: string;
  readonly body?: string;
  /**
   * Status of the response if the route needs no credential or the credential gives access. If it
   * depends on the credential, one status for each credential.
   */
  readonly status: number | Readonly<Record<string, number>>;
}

/** Functions that create a new sample for each request, because some requests write. */
export type Samples = Readonly<Record<string, () => Sample>>;

const json = (value: object): string => JSON.stringify(value);
const form = (value: Record<string, string>): string => new URLSearchParams(value).toString();
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();
const tenant = (): string => uniqueName('walked');
const letter = '999999-0';

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

const ofTenant = (path: string): string => `/operator/tenants/${tenant()}${path}`;
const act = (path: string, body: Record<string, string>, status: number) => (): Sample => ({
  path: ofTenant(path),
  body: form(body),
  status,
});
const show =
  (path: string, status = 200) =>
  (): Sample => ({ path, status });

export function consoleSamples(apiKey: string): Samples {
  return {
    'GET /healthz': show('/healthz'),
    'GET /assets/:version/:name': show('/assets/0/none.css', 404),
    'GET /': () => ({ path: '/', status: { 'portal session': 303, 'another tenant’s': 303, other: 200 } }),
    'GET /sign-in': show('/sign-in', 401),
    'POST /sign-in': () => ({ path: '/sign-in', body: form({ credential: apiKey }), status: 303 }),
    'POST /sign-out': () => ({ path: '/sign-out', body: '', status: 303 }),
    'GET /operator': () => ({
      path: '/operator',
      status: {
        'operator session': 303,
        'a support session': 303,
        'a viewer session': 303,
        'a session of an OpenID provider': 303,
        other: 200,
      },
    }),
    'POST /operator/sign-in': () => ({
      path: '/operator/sign-in',
      body: form({ token: adminToken, name: 'robin' }),
      status: 303,
    }),
    'GET /operator/oidc/start': show('/operator/oidc/start', 404),
    'GET /operator/oidc/callback': show('/operator/oidc/callback', 404),
    'GET /operator/oidc/end': show('/operator/oidc/end', 303),
    'POST /operator/sign-out': () => ({ path: '/operator/sign-out', body: '', status: 303 }),
    'GET /usage': show('/usage'),
    'GET /history': show('/history'),
    'GET /spend': show('/spend'),
    'GET /refusals': show('/refusals'),
    'GET /refusals/:id': show('/refusals/none', 404),
    'GET /events': show('/events'),
    'GET /events/:id': show('/events/019aa4c2-6f00-7abc-8def-0123456789ab', 404),
    'GET /limits': show('/limits'),
    'GET /requests': show('/requests'),
    'POST /requests': () => ({ path: '/requests', body: form({ limit: 'minute' }), status: 422 }),
    'POST /requests/:id/withdraw': () => ({ path: '/requests/none/withdraw', body: '', status: 303 }),
    'GET /guide': show('/guide'),
    'GET /keys': show('/keys'),
    // The walk's portal sessions are those of tokens, which may see keys only.
    'POST /keys': () => ({ path: '/keys', body: form({ name: 'walked' }), status: 403 }),
    'GET /keys/:id': show('/keys/0123456789ab', 404),
    'POST /keys/:id/roll': () => ({
      path: '/keys/0123456789ab/roll',
      body: form({ overlap: 'now' }),
      status: 403,
    }),
    'POST /keys/:id/revoke': () => ({
      path: '/keys/0123456789ab/revoke',
      body: form({ confirm: 'yes' }),
      status: 403,
    }),
    'GET /notifications': show('/notifications'),
    'POST /notifications': () => ({
      path: '/notifications',
      body: form({ threshold: '9' }),
      status: 422,
    }),
    'POST /notifications/limits': () => ({
      path: '/notifications/limits',
      body: form({ 'at:day': 'most' }),
      status: 422,
    }),
    'POST /notifications/targets': () => ({
      path: '/notifications/targets',
      body: form({ channel: 'email', address: 'dev' }),
      status: 422,
    }),
    'POST /notifications/targets/remove': () => ({
      path: '/notifications/targets/remove',
      body: form({ target: 'none' }),
      status: 404,
    }),
    'POST /notifications/test': () => ({ path: '/notifications/test', body: '', status: 303 }),
    'GET /usage/live': show('/usage/live'),
    'GET /operator/start': show('/operator/start'),
    'GET /operator/tenants': show('/operator/tenants'),
    'GET /operator/tenants/:id': show('/operator/tenants/walked'),
    'GET /operator/requests': show('/operator/requests'),
    'POST /operator/tenants/:id/requests/:requestId/approve': act('/requests/none/approve', {}, 404),
    'POST /operator/tenants/:id/requests/:requestId/decline': act('/requests/none/decline', {}, 404),
    'GET /operator/decisions/:id': show('/operator/decisions/none', 404),
    'GET /operator/growth': show('/operator/growth'),
    'GET /operator/spend': show('/operator/spend'),
    'GET /operator/reservations': show('/operator/reservations'),
    ...consolePolicySamples,
    'GET /operator/pipeline': show('/operator/pipeline'),
    'GET /operator/dead-letters': show('/operator/dead-letters'),
    'GET /operator/audit': show('/operator/audit'),
    'GET /operator/tenants/:id/live': show('/operator/tenants/walked/live'),
    'GET /operator/reset-all': show('/operator/reset-all'),
    'POST /operator/reset-all': () => ({
      path: '/operator/reset-all',
      body: form({ confirm: 'no', reason: 'walked' }),
      status: 422,
    }),
    'GET /operator/tenants/:id/delete': show('/operator/tenants/none/delete', 404),
    'POST /operator/tenants/:id/delete': act('/delete', { confirm: 'no', reason: 'walked' }, 404),
    'GET /operator/dead-letters/replay': show('/operator/dead-letters/replay', 404),
    'POST /operator/dead-letters/replay': () => ({
      path: '/operator/dead-letters/replay',
      body: form({ confirm: 'no', reason: 'walked' }),
      status: 404,
    }),
    'POST /operator/tenants/:id/plan': act('/plan', { plan: 'none' }, 422),
    'POST /operator/tenants/:id/boosts': act('/boosts', {}, 422),
    'POST /operator/tenants/:id/boosts/:boostId/end': act('/boosts/none/end', {}, 404),
    'POST /operator/tenants/:id/block': act('/block', { reason: 'walked' }, 303),
    'POST /operator/tenants/:id/unblock': act('/unblock', {}, 404),
    'POST /operator/tenants/:id/reset': act('/reset', { confirm: 'no' }, 422),
    'POST /operator/tenants/:id/api-keys': act('/api-keys', {}, 201),
    'POST /operator/tenants/:id/api-keys/:hash/delete': act('/api-keys/0123456789/delete', {}, 404),
    'POST /operator/tenants/:id/sessions/end': act('/sessions/end', {}, 303),
    'POST /operator/tenants/:id/portal-link': act('/portal-link', {}, 201),
    'POST /operator/dead-letters/:letterId/replay': () => ({
      path: `/operator/dead-letters/${letter}/replay`,
      body: '',
      status: 303,
    }),
  };
}

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
