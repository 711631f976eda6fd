import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isDeeper, repeatedName } from '../../domain/json-bytes.ts';

/** Nothing that is asked of a listener needs more; see `isDeeper`. */
const depthMax = 32;

/** Why a body is not read; Fastify's error handler answers it. */
export class BodyError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** The body as it was before it was compressed. */
export type BodyDecoder = (request: FastifyRequest, body: Buffer) => Promise<Buffer>;

type Listener = Pick<
  FastifyInstance,
  'getDefaultJsonParser' | 'removeContentTypeParser' | 'addContentTypeParser'
>;

/** Reads bodies of these types as JSON: in UTF-8 only, no deeper than what works on them can go, and no name twice. */
export function acceptJson(app: Listener, types: readonly string[], decode?: BodyDecoder): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser(
    [...types],
    { parseAs: 'buffer' },
    async (request: FastifyRequest, given: Buffer): Promise<unknown> => {
      // Many clients name a content type with every request: a DELETE of no bytes has no body.
      if (given.length === 0 && request.method === 'DELETE') return undefined;
      const body = decode === undefined ? given : await decode(request, given);
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
