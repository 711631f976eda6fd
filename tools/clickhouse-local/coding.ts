import type { IncomingMessage } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import { promisify } from 'node:util';
import {
  brotliCompress,
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createDeflate,
  createGunzip,
  createGzip,
  createInflate,
  createZstdCompress,
  createZstdDecompress,
  deflate,
  gzip,
  zstdCompress,
} from 'node:zlib';
import { protocolError } from './exceptions.ts';

/** Content codings for requests and responses, the preferred coding first. */
export type Coding = 'gzip' | 'zstd' | 'br' | 'deflate';

const preference: readonly Coding[] = ['gzip', 'zstd', 'br', 'deflate'];

export function acceptedCoding(acceptEncoding: string): Coding | null {
  const accepted = acceptEncoding.toLowerCase();
  return preference.find((coding) => accepted.includes(coding)) ?? null;
}

/** The request's body, decompressed. Throws ClickHouse's exception for an unknown coding. */
export function decodedBody(request: IncomingMessage): Readable {
  const coding = request.headers['content-encoding'] ?? '';
  if (coding === '' || coding === 'identity') return request;
  const decompress = decompressor(coding);
  // `pipe` forwards no errors: without this line the reader of the decompressed stream would not see that the request
  // was aborted.
  request.once('error', (error) => decompress.destroy(error));
  return request.pipe(decompress);
}

function decompressor(coding: string): Transform {
  if (coding === 'gzip') return createGunzip();
  if (coding === 'zstd') return createZstdDecompress();
  if (coding === 'br') return createBrotliDecompress();
  if (coding === 'deflate') return createInflate();
  throw protocolError(89, 'UNKNOWN_COMPRESSION_METHOD', `Unknown compression method: ${coding}`);
}

/**
 * Compresses a stream and flushes after each block, so that the client of a slow query receives each block at once.
 */
export function compressor(coding: Coding): Transform {
  if (coding === 'gzip') return createGzip({ level: 1, flush: constants.Z_SYNC_FLUSH });
  if (coding === 'zstd') return createZstdCompress({ flush: constants.ZSTD_e_flush });
  if (coding === 'br') return createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH });
  return createDeflate({ level: 1, flush: constants.Z_SYNC_FLUSH });
}

export function compressed(coding: Coding, body: Buffer): Promise<Buffer> {
  if (coding === 'gzip') return promisify(gzip)(body, { level: 1 });
  if (coding === 'zstd') return promisify(zstdCompress)(body);
  if (coding === 'br') return promisify(brotliCompress)(body);
  return promisify(deflate)(body, { level: 1 });
}
