import type { ApiDescription } from '../../../shared/runtime/http/openapi.ts';

/** What `GET /admin/openapi.json` says besides what the operations say. */
export const apiDescription: ApiDescription = {
  title: 'Tollgate admin API',
  description:
    'Tenants, their limits, blocks, boosts and keys. Every refusal and fault is a problem (RFC 9457) with a detail that ' +
    'says what to do.',
  tags: [
    { name: 'Tenants', description: 'Records of tenants, and how they stand.' },
    { name: 'Controls', description: 'Resets, blocks and temporary increases.' },
    { name: 'Credentials', description: 'API keys and portal links.' },
    { name: 'Installation', description: 'What concerns all tenants: history, dead letters, losses.' },
  ],
  securitySchemes: {
    admin: { type: 'http', scheme: 'bearer', description: 'The admin token (TOLLGATE_ADMIN_TOKEN).' },
  },
  security: { admin: [{ admin: [] }] },
  problems: [400, 401, 403, 408, 421, 431, 503],
  responseHeaders: {},
};
