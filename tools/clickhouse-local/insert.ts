import type { Readable } from 'node:stream';
import type { EngineResult, EngineSession } from './engine.ts';
import { protocolError } from './exceptions.ts';

/**
 * By format: the text between two rows. A body larger than `pieceBytes` is split after the first byte of this text.
 */
const cutMarks: Readonly<Record<string, string>> = {
  JSONEachRow: '}\n{',
  JSONLines: '}\n{',
  NDJSON: '}\n{',
  JSONStringsEachRow: '}\n{',
  JSONCompactEachRow: ']\n[',
  JSONCompactStringsEachRow: ']\n[',
  TabSeparated: '\n',
  TSV: '\n',
  LineAsString: '\n',
};

export interface BodyBounds {
  /** Largest body that is held in memory as a whole. */
  readonly bodyBytesMax: number;
  /** Size of the pieces that the engine inserts one by one, for formats whose body can be split. */
  readonly pieceBytes: number;
}

/**
 * Inserts a body while it arrives, in pieces if the format allows a split between rows, otherwise as a whole. If a
 * piece fails, the earlier pieces stay inserted, as in ClickHouse.
 */
export async function insertBody(
  session: EngineSession,
  prefix: string,
  format: string,
  body: Readable,
  bounds: BodyBounds,
): Promise<EngineResult> {
  const mark = cutMarks[format];
  let total: EngineResult | null = null;
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of body) {
    held.push(chunk as Buffer);
    heldBytes += (chunk as Buffer).length;
    if (mark === undefined || heldBytes < bounds.pieceBytes) {
      refuseAbove(heldBytes, bounds);
      continue;
    }
    const piece = Buffer.concat(held, heldBytes);
    const cut = piece.lastIndexOf(mark) + 1;
    if (cut === 0) {
      refuseAbove(heldBytes, bounds);
      continue;
    }
    total = sum(total, await session.insert(prefix, piece.subarray(0, cut)));
    held = [piece.subarray(cut)];
    heldBytes = piece.length - cut;
  }
  return sum(total, await session.insert(prefix, Buffer.concat(held, heldBytes)));
}

/** Reads the whole body into memory. Throws if the body exceeds `bodyBytesMax`. */
export async function readBody(body: Readable, bounds: BodyBounds): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    refuseAbove(bytes, bounds);
  }
  return Buffer.concat(chunks, bytes);
}

function refuseAbove(bytes: number, { bodyBytesMax }: BodyBounds): void {
  if (bytes > bodyBytesMax) {
    throw protocolError(307, 'TOO_MANY_BYTES', `The body is over the local server's ${bodyBytesMax} bytes`);
  }
}

function sum(total: EngineResult | null, piece: EngineResult): EngineResult {
  if (total === null) return piece;
  return {
    body: piece.body,
    summary: {
      elapsedSeconds: total.summary.elapsedSeconds + piece.summary.elapsedSeconds,
      readRows: total.summary.readRows + piece.summary.readRows,
      readBytes: total.summary.readBytes + piece.summary.readBytes,
      writtenRows: total.summary.writtenRows + piece.summary.writtenRows,
      writtenBytes: total.summary.writtenBytes + piece.summary.writtenBytes,
    },
  };
}
