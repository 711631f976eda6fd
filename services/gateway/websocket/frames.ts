import { randomBytes } from 'node:crypto';

/** A part of a chunk: all its bytes belong to one header or to one payload. */
export interface Piece {
  /** Offset in the chunk at which the next piece begins. */
  readonly end: number;
  /**
   * All bytes of a frame's header if this piece completes the header, including bytes from earlier chunks; else null.
   */
  readonly header: Buffer | null;
}

const headerBytesMax = 14;

/**
 * Finds the boundaries of frames (RFC 6455, 5.2) in a stream of chunks, which may be cut anywhere. Payloads are not
 * read.
 */
export class FrameReader {
  readonly #header = Buffer.alloc(headerBytesMax);
  #headerBytes = 0;
  #payloadLeft = 0;

  /** True between two frames, where another frame may be inserted. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0 && this.#payloadLeft === 0;
  }

  /** True inside an incomplete header. Its bytes are kept here and returned with the piece that completes it. */
  get inHeader(): boolean {
    return this.#headerBytes > 0;
  }

  next(chunk: Buffer, start: number): Piece {
    if (this.#payloadLeft > 0) {
      const bytes = Math.min(this.#payloadLeft, chunk.length - start);
      this.#payloadLeft -= bytes;
      return { end: start + bytes, header: null };
    }
    let at = start;
    while (at < chunk.length && this.#headerBytes < this.#headerLength()) {
      this.#header[this.#headerBytes] = chunk[at] ?? 0;
      this.#headerBytes += 1;
      at += 1;
    }
    if (this.#headerBytes < 2 || this.#headerBytes < this.#headerLength()) return { end: at, header: null };
    const header = Buffer.from(this.#header.subarray(0, this.#headerBytes));
    this.#payloadLeft = payloadLength(header);
    this.#headerBytes = 0;
    return { end: at, header };
  }

  #headerLength(): number {
    if (this.#headerBytes < 2) return 2;
    const second = this.#header[1] ?? 0;
    return 2 + extendedBytes(second & 0x7f) + ((second & 0x80) === 0 ? 0 : 4);
  }
}

function extendedBytes(length: number): number {
  if (length === 126) return 2;
  return length === 127 ? 8 : 0;
}

function payloadLength(header: Buffer): number {
  const length = (header[1] ?? 0) & 0x7f;
  if (length === 126) return header.readUInt16BE(2);
  return length === 127 ? Number(header.readBigUInt64BE(2)) : length;
}

/** True for a text or binary frame, which begins a message. Continuation and control frames do not (RFC 6455, 5.4). */
export function beginsMessage(header: Buffer): boolean {
  const opcode = (header[0] ?? 0) & 0x0f;
  return opcode === 1 || opcode === 2;
}

/**
 * Maximum size in bytes of a close reason: a control frame holds up to 125 bytes (RFC 6455, 5.5), and the status code
 * needs 2 of them.
 */
const reasonBytesMax = 123;

/** Builds a close frame. Frames of clients are masked, frames of servers are not (RFC 6455, 5.1). */
export function closeFrame(code: number, reason: string, masked: boolean): Buffer {
  const text = Buffer.from(reason);
  // The reason must be valid UTF-8 (RFC 6455, 5.5.1), so it is cut between two characters.
  let bytes = Math.min(text.length, reasonBytesMax);
  while (bytes > 0 && bytes < text.length && ((text[bytes] ?? 0) & 0xc0) === 0x80) bytes -= 1;
  const payload = Buffer.alloc(2 + bytes);
  payload.writeUInt16BE(code, 0);
  text.copy(payload, 2, 0, bytes);
  if (!masked) return Buffer.concat([Buffer.from([0x88, payload.length]), payload]);
  const key = randomBytes(4);
  const maskedPayload = payload.map((byte, index) => byte ^ (key[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x88, 0x80 | payload.length]), key, maskedPayload]);
}
