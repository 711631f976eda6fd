import { asyncApiDocument, messageSchemas } from '../../../shared/kafka/schemas/asyncapi.ts';
import type { Topics } from '../../../shared/kafka/topics.ts';
import type { ApiServer } from '../entrypoints/api/api-server.ts';

export const schemaRoutes = ['GET /asyncapi.json', 'GET /schemas/:message'];

/** Serves the AsyncAPI document of the topics, and the JSON Schema of each message: `/schemas/alert.json`. */
export function registerSchemas(app: ApiServer, topics: Topics): void {
  const document = asyncApiDocument(topics);
  const schemas = messageSchemas();
  const options = { schema: { hide: true }, config: { access: 'public' } } as const;
  app.get('/asyncapi.json', options, () => document);
  app.get<{ Params: { message: string } }>('/schemas/:message', options, (request, reply) => {
    const { message } = request.params;
    const name = message.endsWith('.json') ? message.slice(0, -'.json'.length) : message;
    if (Object.hasOwn(schemas, name)) void reply.type('application/schema+json').send(schemas[name]);
    else reply.callNotFound();
  });
}
