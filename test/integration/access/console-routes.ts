import { adminToken } from '../console/fixture.ts';
import { consolePolicySamples } from './policy-routes.ts';
import { form, show, tenant } from './sample.ts';
import type { Sample, Samples } from './sample.ts';

/** `apiKey` is a valid key of a tenant. */
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
    ...portalSamples,
    ...operatorSamples,
  };
}

const portalSamples: Samples = {
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
  'GET /sessions': show('/sessions'),
  'POST /sessions/:id/end': () => ({ path: '/sessions/none/end', body: '', status: 303 }),
  // A session of a token ends only those of its own user.
  'POST /sessions/end-others': () => ({ path: '/sessions/end-others', body: '', status: 403 }),
  'POST /sessions/links/:id/revoke': () => ({ path: '/sessions/links/none/revoke', body: '', status: 403 }),
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
};

const letter = '999999-0';
const ofTenant = (path: string): string => `/operator/tenants/${tenant()}${path}`;
const act = (path: string, body: Record<string, string>, status: number) => (): Sample => ({
  path: ofTenant(path),
  body: form(body),
  status,
});

const operatorSamples: Samples = {
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
  'GET /operator/sessions': show('/operator/sessions'),
  'POST /operator/sessions/:id/end': () => ({ path: '/operator/sessions/none/end', body: '', status: 303 }),
  'POST /operator/sessions/end-others': () => ({
    path: '/operator/sessions/end-others',
    body: form({ name: 'none' }),
    status: 303,
  }),
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
  'POST /operator/tenants/:id/settings': act('/settings', { billing_day: '99' }, 422),
  'POST /operator/tenants/:id/note': act('/note', { text: 'walked' }, 303),
  'POST /operator/tenants/:id/undo': act('/undo', { change: 'none' }, 404),
  'POST /operator/tenants/:id/boosts': act('/boosts', {}, 422),
  'POST /operator/tenants/:id/boosts/:boostId/end': act('/boosts/none/end', {}, 404),
  'POST /operator/tenants/:id/block': act('/block', { reason: 'walked' }, 303),
  'POST /operator/tenants/:id/unblock': act('/unblock', {}, 404),
  'POST /operator/tenants/:id/reset': act('/reset', { confirm: 'no' }, 422),
  'POST /operator/tenants/:id/api-keys': act('/api-keys', { permission: 'requests' }, 201),
  'POST /operator/tenants/:id/api-keys/:hash/roll': act('/api-keys/0123456789/roll', { overlap: '24h' }, 404),
  'POST /operator/tenants/:id/api-keys/:hash/delete': act('/api-keys/0123456789/delete', {}, 404),
  'POST /operator/tenants/:id/test-alert': act('/test-alert', { target: 'none' }, 404),
  'POST /operator/tenants/:id/sessions/end': act('/sessions/end', {}, 303),
  'POST /operator/tenants/:id/portal-link': act('/portal-link', {}, 201),
  'POST /operator/dead-letters/:letterId/replay': () => ({
    path: `/operator/dead-letters/${letter}/replay`,
    body: '',
    status: 303,
  }),
};
