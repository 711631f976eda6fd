import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib';

const decoders = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
} as const;

/** Value of `Accept-Encoding` in a response that refuses a coding (RFC 9110, 12.5.3). */
export const acceptedCodings = 'gzip, deflate, br, zstd';

export type DecodedBody =
  { readonly body: Buffer } | { readonly status: 400 | 413 | 415; readonly detail: string };

/**
 * Decodes the body by its Content-Encoding (RFC 9110, 8.4). Decoding stops after `bytesMax` bytes, so that a small
 * compressed body cannot use much memory.
 */
export async function decodeBody(encoding: string, body: Buffer, bytesMax: number): Promise<DecodedBody> {
  const coding = encoding.trim().toLowerCase();
  if (coding === '' || coding === 'identity') return { body };
  if (!isKnown(coding)) {
    return { status: 415, detail: `The content coding is not one of: ${acceptedCodings}.` };
  }
  try {
    return { body: await decoders[coding](body, { maxOutputLength: bytesMax }) };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
      ? { status: 413, detail: `The decoded body is larger than ${bytesMax} bytes.` }
      : { status: 400, detail: `The body is not ${coding}.` };
  }
}

function isKnown(coding: string): coding is keyof typeof decoders {
  return Object.hasOwn(decoders, coding);
}
