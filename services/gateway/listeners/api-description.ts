import type { ApiDescription } from '../../../shared/runtime/http/openapi.ts';

const credentials = [{ bearer: [] }, { apiKey: [] }, { serviceToken: [] }];

/** The parts of `GET /openapi.json` that are not derived from the routes. */
export const apiDescription: ApiDescription = {
  title: 'Tollgate',
  description:
    'Decide about requests, publish usage events, and read limits, usage and decisions. Every response carries the ' +
    "caller's limit headers; every refused or failed request gets a problem (RFC 9457) whose detail says how to correct it.",
  tags: [
    { name: 'Decisions', description: 'Whether a request may pass, why not, and its outcome.' },
    { name: 'Events', description: 'Usage that an API server measured, as CloudEvents.' },
    { name: 'Usage', description: 'State of the limits, usage, and values of meters.' },
    { name: 'Sessions', description: 'Limits of sessions open at once, with a heartbeat.' },
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
  // Every route may return these problems: the request is malformed, violates HTTP/1.1, arrives too slowly or
  // has too large headers.
  problems: [400, 401, 408, 417, 429, 431, 501, 503, 505],
  responseHeaders: {
    'X-RateLimit-Limit': {
      description: 'Units per window, of the limit closest to exhaustion.',
      schema: { type: 'integer' },
    },
    'X-RateLimit-Remaining': { description: 'Units left of that limit.', schema: { type: 'integer' } },
    'X-RateLimit-Reset': {
      description: 'Unix seconds at which the full limit is available again.',
      schema: { type: 'integer' },
    },
    'RateLimit-Policy': {
      description: 'All limits (draft-ietf-httpapi-ratelimit-headers), e.g. "minute";q=100;w=60.',
      schema: { type: 'string' },
    },
    RateLimit: {
      description: 'State of all limits, e.g. "minute";r=12;t=7.',
      schema: { type: 'string' },
    },
    'X-Tollgate-Decision': {
      description: 'Id of the decision; absent where nothing was decided.',
      schema: { type: 'string' },
    },
  },
};
