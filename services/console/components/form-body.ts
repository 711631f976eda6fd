import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BodyError } from '../../../shared/runtime/http/json-body.ts';

/**
 * Accepts only forms encoded in UTF-8, the charset of the pages. Fields in another charset would be decoded wrongly.
 */
export function acceptForms(app: FastifyInstance): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'buffer' },
    (request, body: Buffer, finish) => {
      const charsets = [
        ...(request.headers['content-type'] ?? '').matchAll(/;\s*charset\s*=\s*"?([^";\s]*)/gi),
      ];
      if (charsets.some(([, charset = '']) => !/^(utf-8|us-ascii)$/i.test(charset))) {
        finish(new BodyError(415, 'A form is sent in UTF-8.'));
      } else if (!isUtf8(body)) {
        finish(new BodyError(400, 'The form is not UTF-8.'));
      } else {
        finish(null, new URLSearchParams(body.toString('utf8')));
      }
    },
  );
}

/** Fields of the submitted form; empty if the request has no form. */
export function formOf(request: FastifyRequest): URLSearchParams {
  return request.body instanceof URLSearchParams ? request.body : new URLSearchParams();
}

/**
 * Fields of a query as texts. If a name occurs several times, its first value is used, as in `URLSearchParams.get`.
 * The object has no prototype, so a field named like a method of `Object.prototype` is not confused with it.
 */
export function readQuery(text: string): Record<string, string> {
  const fields = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(text)) fields[name] ??= value;
  return fields;
}
