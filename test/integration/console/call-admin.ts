import type { FastifyInstance, InjectOptions } from 'fastify';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Record<string, unknown>;
}

/** Calls the admin API without a port. */
export async function callAdmin(
  app: FastifyInstance,
  token: string,
  what: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const [method, url] = what.split(' ') as ['GET', string];
  const request: InjectOptions = {
    method,
    url,
    headers: { authorization: `Bearer ${token}`, ...headers },
    ...(body === undefined ? {} : { payload: body }),
  };
  const response = await app.inject(request);
  const text = response.body;
  return {
    status: response.statusCode,
    headers: response.headers,
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}
