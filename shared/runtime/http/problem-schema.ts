/** Media type of a problem body (RFC 9457). */
export const problemMedia = 'application/problem+json';

/** Titles by status, for problems without a type of their own (RFC 9457, section 4.2.1). */
export const problemTitles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  406: 'Not acceptable',
  408: 'Request timeout',
  409: 'Conflict',
  412: 'Precondition failed',
  413: 'Content too large',
  414: 'URI too long',
  415: 'Unsupported media type',
  417: 'Expectation failed',
  421: 'Misdirected request',
  422: 'Unprocessable content',
  426: 'Upgrade required',
  429: 'Too many requests',
  431: 'Request header fields too large',
  500: 'Internal server error',
  501: 'Not implemented',
  502: 'Bad gateway',
  503: 'Service unavailable',
  504: 'Gateway timeout',
  505: 'HTTP version not supported',
};

/** Schema of the body of every error response (RFC 9457), for the OpenAPI documents of all listeners. */
export const problemSchema = {
  $id: 'Problem',
  type: 'object',
  description: 'What went wrong and what to do about it (RFC 9457). Further fields depend on the problem.',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: {
      type: 'string',
      description: 'URI of the kind of problem; about:blank if the status explains the problem.',
    },
    title: { type: 'string' },
    status: {
      type: 'integer',
      description: 'Status of the response, or of the refused request if the client is a proxy.',
    },
    detail: { type: 'string', description: 'Explanation and advice.' },
    error: { type: 'string', description: 'A short form of the detail; SDKs of OpenAI print it.' },
    decision_id: {
      type: 'string',
      description: 'Id of the event of the refused request: GET /v1/decisions/{id}.',
    },
    retry_after_seconds: {
      type: 'integer',
      minimum: 1,
      description: 'Seconds after which the request may succeed.',
    },
    'violated-policies': {
      type: 'array',
      items: { type: 'string' },
      description: 'Limits that the request exceeds.',
    },
    limit: { type: 'number' },
    remaining: { type: 'number' },
    window_seconds: { type: 'integer', description: '0 for concurrent limits.' },
    reset: { type: 'integer', description: 'Unix seconds at which the full limit is available again.' },
    documentation_url: { type: 'string' },
    upgrade_url: { type: 'string' },
    errors: {
      type: 'array',
      description: 'Each violation of the body.',
      items: {
        type: 'object',
        required: ['field', 'detail'],
        properties: {
          field: { type: 'string', description: 'Path with dots; empty for the body itself.' },
          detail: { type: 'string' },
        },
      },
    },
  },
  examples: [
    {
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Too many requests',
      status: 429,
      detail: '10 requests per 1 minute allowed for this user on POST /agent/chat; try again in 7 s',
      'violated-policies': ['chat'],
      limit: 10,
      remaining: 0,
      window_seconds: 60,
      retry_after_seconds: 7,
      reset: 1795248983,
      decision_id: '019ab1c2-0000-7000-8000-000000000000',
    },
  ],
} as const;
