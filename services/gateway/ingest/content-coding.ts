import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib';

const decoders = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
} as const;

/** For `Accept-Encoding`, where a coding was refused. */
export const acceptedCodings = 'gzip, deflate, br, zstd';

export type DecodedBody =
  { readonly body: Buffer } | { readonly status: 400 | 413 | 415; readonly detail: string };

/**
 * The body without its Content-Encoding. Decoding stops at `bytesMax`, so that a small body that is a large one
 * compressed costs no more memory than a large one.
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
