import { promisify } from 'node:util';
import { constants, gunzip, zstdDecompress } from 'node:zlib';
import { messageOf } from '../../../runtime/errors.ts';
import { MalformedRecords } from './byte-reader.ts';
import { decompressLz4 } from './lz4.ts';
import { decompressSnappy } from './snappy.ts';

const gunzipAsync = promisify(gunzip);
const zstdAsync = promisify(zstdDecompress);

interface Codec {
  readonly name: string;
  readonly decompress: (bytes: Buffer, bytesMax: number) => Buffer | Promise<Buffer>;
}

/** Codecs by number: the lowest three bits of a batch's attributes are the index. */
const codecs: readonly (Codec | null)[] = [
  null,
  { name: 'gzip', decompress: (bytes, bytesMax) => gunzipAsync(bytes, { maxOutputLength: bytesMax }) },
  { name: 'snappy', decompress: decompressSnappy },
  { name: 'lz4', decompress: decompressLz4 },
  {
    name: 'zstd',
    decompress: (bytes, bytesMax) =>
      zstdAsync(bytes, {
        maxOutputLength: bytesMax,
        params: { [constants.ZSTD_d_windowLogMax]: zstdWindowLogMax },
      }),
  },
];

/** Largest window: 32 MiB (2^25 bytes). A frame with a larger window is refused before memory is allocated for it. */
const zstdWindowLogMax = 25;
const codecMask = 0x7;

/** Decompresses a batch. Throws MalformedRecords if the decompressed bytes are more than `bytesMax`. */
export async function decompress(attributes: number, bytes: Buffer, bytesMax: number): Promise<Buffer> {
  const id = attributes & codecMask;
  const codec = codecs[id];
  if (codec === undefined) throw new MalformedRecords(`compression codec ${id} is not known`);
  if (codec === null) return bytes;
  try {
    return await codec.decompress(bytes, bytesMax);
  } catch (error) {
    throw new MalformedRecords(`${codec.name}: ${messageOf(error)}`, { cause: error });
  }
}

export function isCompressed(attributes: number): boolean {
  return (attributes & codecMask) !== 0;
}
