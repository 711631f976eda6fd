import type { Producer, ProducerRecord } from './producer.ts';

/** Half of what a broker takes in one batch unless told otherwise (1 MiB): all records may go to one partition. */
const pieceBytesMax = 512 * 1024;

/** Sends in order, in pieces a broker takes whole. Resolves when all are safe. */
export async function sendInPieces(
  producer: Producer,
  topic: string,
  records: readonly ProducerRecord[],
): Promise<void> {
  let piece: ProducerRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = (record.key?.length ?? 0) + (record.value?.length ?? 0) + 200;
    if (piece.length > 0 && bytes + size > pieceBytesMax) {
      await producer.send(topic, piece);
      piece = [];
      bytes = 0;
    }
    piece.push(record);
    bytes += size;
  }
  if (piece.length > 0) await producer.send(topic, piece);
}
