import { isUtf8 } from 'node:buffer';
import type { FastifyRequest } from 'fastify';
import { isDeeper } from '../../shared/runtime/json-bytes.ts';
import type { ApiServer } from './api-server.ts';
import { decodeBody } from './ingest/content-coding.ts';

/** Of the api listener, as sent and as decoded. */
export const bodyBytesMax = 1_048_576;

/** Nothing that is asked here needs more; see `isDeeper`. */
const depthMax = 32;

/** Why a body is not read; Fastify's error handler answers it. */
class BodyError extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** Reads bodies of JSON: also compressed, in UTF-8 only, and no deeper than what works on them can go. */
export function registerJsonBody(app: ApiServer): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) => {
      const decoded = await decodeBody(request.headers['content-encoding'] ?? '', body, bodyBytesMax);
      if ('status' in decoded) throw new BodyError(decoded.status, decoded.detail);
      if (!isUtf8(decoded.body)) throw new BodyError(400, 'The body is not UTF-8.');
      const value = await parsed(request, decoded.body.toString('utf8'));
      if (isDeeper(value, depthMax)) {
        throw new BodyError(400, `The body is nested deeper than ${depthMax} levels.`);
      }
      return value;
    },
  );

  function parsed(request: FastifyRequest, text: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      parse.call(app, request, text, (error, value) => {
        if (error === null) resolve(value);
        else reject(error);
      });
    });
  }
}
