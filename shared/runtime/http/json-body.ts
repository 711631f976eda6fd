import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isDeeper, repeatedName } from '../../domain/json-bytes.ts';

/** Deepest nesting of a JSON body. No request to a listener needs more; see `isDeeper`. */
const depthMax = 32;

/** Reason for which a body is refused. Fastify's error handler sends it as the response. */
export class BodyError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** Returns the decompressed body. */
export type BodyDecoder = (request: FastifyRequest, body: Buffer) => Promise<Buffer>;

type Listener = Pick<
  FastifyInstance,
  'getDefaultJsonParser' | 'removeContentTypeParser' | 'addContentTypeParser'
>;

/**
 * Parses bodies of these content types as JSON. Refuses a body that is not UTF-8, that is nested deeper than
 * `depthMax`, or in which an object has the same name twice.
 */
export function acceptJson(app: Listener, types: readonly string[], decode?: BodyDecoder): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser(
    [...types],
    { parseAs: 'buffer' },
    async (request: FastifyRequest, received: Buffer): Promise<unknown> => {
      // Many clients send a content type with every request: an empty body of DELETE counts as no body.
      if (received.length === 0 && request.method === 'DELETE') return undefined;
      const body = decode === undefined ? received : await decode(request, received);
      if (!isUtf8(body)) throw new BodyError(400, 'The body is not UTF-8.');
      const text = body.toString('utf8');
      const value = await parsed(request, text);
      if (isDeeper(value, depthMax)) {
        throw new BodyError(400, `The body is nested deeper than ${depthMax} levels.`);
      }
      const name = repeatedName(text, value);
      if (name !== null) {
        throw new BodyError(400, `The body has the member ${JSON.stringify(name)} twice; send it once.`);
      }
      return value;
    },
  );

  function parsed(request: FastifyRequest, text: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      parse.call(app as FastifyInstance, request, text, (error, value) => {
        if (error === null) resolve(value);
        else reject(error);
      });
    });
  }
}
