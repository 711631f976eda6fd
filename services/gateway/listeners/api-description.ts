import type { ApiDescription } from '../../../shared/runtime/http/openapi.ts';

const credentials = [{ bearer: [] }, { apiKey: [] }, { serviceToken: [] }];

/** What `GET /openapi.json` says besides what the routes say. */
export const apiDescription: ApiDescription = {
  title: 'Tollgate',
  description:
    'Decide about requests, publish usage events, and read limits, usage and decisions. Every response carries the ' +
    "caller's limit headers; every refusal and fault is a problem (RFC 9457) with a detail that says what to do.",
  tags: [
    { name: 'Decisions', description: 'May this request pass, why not, and what became of it.' },
    { name: 'Events', description: 'Usage that an API server measured itself, as CloudEvents.' },
    { name: 'Usage', description: 'How limits stand, what has been used, and what meters say.' },
    { name: 'Sessions', description: 'Limits of what is open at once, with a heartbeat.' },
  ],
  securitySchemes: {
    bearer: {
      type: 'http',
      scheme: 'bearer',
      description: 'JWT of a tenant, an API key or a service token.',
    },
    apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
    serviceToken: { type: 'apiKey', in: 'header', name: 'X-Service-Token' },
  },
  security: { credential: credentials, decision: [{}, ...credentials] },
  // Malformed or outside HTTP/1.1, too slow, headers too large: what a server answers whatever the route is.
  problems: [400, 401, 408, 417, 429, 431, 501, 503, 505],
  responseHeaders: {
    'X-RateLimit-Limit': {
      description: 'Units per window, of the limit closest to exhaustion.',
      schema: { type: 'integer' },
    },
    'X-RateLimit-Remaining': { description: 'Units left of it.', schema: { type: 'integer' } },
    'X-RateLimit-Reset': {
      description: 'Unix seconds at which the whole of it is available again.',
      schema: { type: 'integer' },
    },
    'RateLimit-Policy': {
      description: 'All limits (draft-ietf-httpapi-ratelimit-headers), e.g. "minute";q=100;w=60.',
      schema: { type: 'string' },
    },
    RateLimit: {
      description: 'How they stand, e.g. "minute";r=12;t=7.',
      schema: { type: 'string' },
    },
    'X-Tollgate-Decision': {
      description: 'Id of the decision, where one was made.',
      schema: { type: 'string' },
    },
  },
};
