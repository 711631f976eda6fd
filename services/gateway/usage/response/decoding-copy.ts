import type { Transform } from 'node:stream';
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';

/** Decoded bytes that are always read, and how many times the coded bytes are read beyond them. */
const decodedBytesFree = 1_048_576;
const expansionMax = 64;

/** Coded bytes that may wait for the decoder. */
const waitingBytesMax = 65_536;

/** A response of which only a part has arrived is no error of its coding. */
const partly = { finishFlush: constants.Z_SYNC_FLUSH };

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip(partly),
  'x-gzip': () => createGunzip(partly),
  deflate: () => createInflate(partly),
  br: () => createBrotliDecompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH }),
  // Decoders need not support windows above 8 MiB (RFC 9659).
  zstd: () =>
    createZstdDecompress({
      params: { [constants.ZSTD_d_windowLogMax]: 23 },
      finishFlush: constants.ZSTD_e_flush,
    }),
};

/** Whether a body with this Content-Encoding can be read. */
export function isReadableCoding(coding: string): boolean {
  return Object.hasOwn(decoders, coding);
}

/**
 * Decodes a copy of a coded body while the body itself is forwarded unchanged. Memory and time are bounded: the copy is
 * given up if it expands too much, and the caller waits while too many coded bytes wait for the decoder.
 */
export class DecodingCopy {
  readonly #decoder: Transform;
  readonly #ended: Promise<void>;
  #isGivenUp = false;
  #codedBytes = 0;
  #decodedBytes = 0;
  #waitingBytes = 0;
  #resume: (() => void) | null = null;

  constructor(coding: string, onData: (chunk: Buffer) => void, onGivenUp: () => void) {
    const create = decoders[coding];
    if (create === undefined) throw new Error(`No decoder of ${coding}.`);
    this.#decoder = create();
    this.#ended = new Promise((resolve) => {
      const giveUp = (): void => {
        if (!this.#isGivenUp) {
          this.#isGivenUp = true;
          onGivenUp();
        }
        this.#decoder.destroy();
        this.#waitingBytes = 0;
        this.#resume?.();
        resolve();
      };
      this.#decoder.on('data', (chunk: Buffer) => {
        this.#decodedBytes += chunk.length;
        if (this.#isGivenUp) return;
        if (this.#decodedBytes > decodedBytesFree + expansionMax * this.#codedBytes) giveUp();
        else onData(chunk);
      });
      this.#decoder.on('error', giveUp);
      this.#decoder.on('end', resolve);
    });
  }

  write(chunk: Buffer): void {
    if (this.#isGivenUp) return;
    this.#codedBytes += chunk.length;
    this.#waitingBytes += chunk.length;
    this.#decoder.write(chunk, () => {
      this.#waitingBytes -= chunk.length;
      if (this.#waitingBytes <= waitingBytesMax) this.#resume?.();
    });
  }

  /** Resolves when the decoder can read another chunk; null if it can now. */
  ready(): Promise<void> | null {
    if (this.#isGivenUp || this.#waitingBytes <= waitingBytesMax) return null;
    return new Promise((resolve) => {
      this.#resume = () => {
        this.#resume = null;
        resolve();
      };
    });
  }

  /** Resolves when all bytes have been decoded, or the copy was given up. */
  end(): Promise<void> {
    if (!this.#isGivenUp) this.#decoder.end();
    return this.#ended;
  }
}
