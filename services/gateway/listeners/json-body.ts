import { BodyError, acceptJson } from '../../../shared/runtime/http/json-body.ts';
import type { ApiServer } from './api-server.ts';
import { decodeBody } from '../ingest/content-coding.ts';

/** Of the api listener, as sent and as decoded. */
export const bodyBytesMax = 1_048_576;

/** Reads bodies of JSON, also compressed. */
export function registerJsonBody(app: ApiServer): void {
  acceptJson(app, ['application/json'], async (request, body) => {
    const decoded = await decodeBody(request.headers['content-encoding'] ?? '', body, bodyBytesMax);
    if ('status' in decoded) throw new BodyError(decoded.status, decoded.detail);
    return decoded.body;
  });
}
