import fc from 'fast-check';

/** Lengths of chunks, used in turn. */
export const splits = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 8 });

/** Cuts bytes into chunks of the lengths `cuts`, over and over; one chunk if there is no length. */
export function chunked(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  if (cuts.length === 0) return [bytes];
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = cuts[turn % cuts.length]!;
    // A copy, as a socket delivers it: a reader that keeps a reference sees no later chunk.
    chunks.push(Buffer.from(bytes.subarray(at, at + length)));
    at += length;
  }
  return chunks;
}
