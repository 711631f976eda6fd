import type { FastifyReply } from 'fastify';
import type { Dispatcher } from 'undici';
import type { ForwardedHeaders } from '../entrypoints/proxy/forwarded-headers.ts';
import type { MeteredCall } from './metered-call.ts';
import { MeteredResponse } from './metered-response.ts';

/** Sets the header fields that describe the body of a metered call, which may differ from the client's body. */
export function describeBody(headers: ForwardedHeaders, { prepared, usage }: MeteredCall): void {
  headers['content-length'] = String(prepared.body.length);
  if (prepared.isRewritten) for (const name of bodyFields) Reflect.deleteProperty(headers, name);
  // A stream can be changed or ended only if it has no content coding.
  if (prepared.isUsageHidden || (prepared.isStream && usage.onExhausted === 'cut'))
    headers['accept-encoding'] = 'identity';
}

/** Returns the body of the response, which settles the call when it ends. */
export function meteredBody(
  reply: FastifyReply,
  call: MeteredCall,
  { statusCode, headers, body, trailers }: Dispatcher.ResponseData,
): MeteredResponse {
  const response = new MeteredResponse(call, { status: statusCode, headers, body, trailers });
  if (response.reader.changesBytes)
    for (const name of [...bodyFields, 'content-length']) reply.removeHeader(name);
  return response;
}

/** Fields that describe the bytes of a body, and are wrong for other bytes. */
const bodyFields = ['content-encoding', 'content-digest', 'content-md5', 'digest', 'etag'];

/** Codes of errors that occur before a request is sent. */
const unsentCodes: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Returns false if the upstream certainly received no byte of the request. */
export function wasSent(error: unknown): boolean {
  return !unsentCodes.has((error as { code?: unknown } | null)?.code);
}
