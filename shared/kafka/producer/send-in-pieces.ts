import type { Producer, ProducerRecord } from './producer.ts';

/**
 * Largest size of a piece: half of the default `message.max.bytes` of a broker (1 MiB), because all records of a piece
 * may go to one partition, in one batch.
 */
const pieceBytesMax = 512 * 1024;

/** Sends the records in order, in pieces that are small enough for a broker. Resolves when Kafka has all records. */
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
