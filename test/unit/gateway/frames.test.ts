import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameReader, beginsMessage, closeFrame } from '../../../services/gateway/websocket/frames.ts';

interface Frame {
  readonly opcode: number;
  readonly masked: boolean;
  readonly length: number;
}

function bytesOf({ opcode, masked, length }: Frame): Buffer {
  const mask = masked ? 0x80 : 0;
  let head = Buffer.from([0x80 | opcode, mask | length]);
  if (length > 65_535) {
    head = Buffer.alloc(10, Buffer.from([0x80 | opcode, mask | 127]));
    head.writeBigUInt64BE(BigInt(length), 2);
  } else if (length > 125) {
    head = Buffer.alloc(4, Buffer.from([0x80 | opcode, mask | 126]));
    head.writeUInt16BE(length, 2);
  }
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0, 7), Buffer.alloc(length, 'x')]);
}

const frame = fc.record({
  opcode: fc.constantFrom(0, 1, 2, 8, 9, 10),
  masked: fc.boolean(),
  length: fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(125, 126, 65_535, 65_536, 70_000)),
});

describe('frames', () => {
  test('headers are found wherever the bytes are split, and joined again the bytes are the same', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), cuts, (frames, sizes) => {
        const sent = Buffer.concat(frames.map(bytesOf));
        const reader = new FrameReader();
        const found: number[] = [];
        const parts: Buffer[] = [];
        for (let at = 0, turn = 0; at < sent.length; turn += 1) {
          const chunk = sent.subarray(at, at + (sizes[turn % sizes.length] ?? 1));
          at += chunk.length;
          for (let read = 0; read < chunk.length;) {
            const { end, header } = reader.next(chunk, read);
            if (header !== null) found.push((header[0] ?? 0) & 0x0f);
            if (header !== null) parts.push(header);
            else if (!reader.inHeader) parts.push(chunk.subarray(read, end));
            read = end;
          }
        }
        expect(found).toEqual(frames.map(({ opcode }) => opcode));
        expect(Buffer.concat(parts).equals(sent)).toBe(true);
        expect(reader.atBoundary).toBe(true);
      }),
    );
  });

  test('text and binary begin a message; continuations and control frames do not', () => {
    const begins = [0, 1, 2, 8, 9, 10].filter((opcode) => beginsMessage(Buffer.from([opcode, 0])));
    expect(begins).toEqual([1, 2]);
  });

  test.each([true, false])('a close frame follows RFC 6455 (masked: %s)', (masked) => {
    for (const reason of ['', 'enough', 'é'.repeat(80)]) {
      const bytes = closeFrame(1_008, reason, masked);
      const { end, header } = new FrameReader().next(bytes, 0);
      expect([header?.[0], (header?.[1] ?? 0) >= 0x80]).toEqual([0x88, masked]);
      const key = masked ? (header?.subarray(2) ?? Buffer.alloc(4)) : Buffer.alloc(4);
      const payload = Buffer.from(bytes.subarray(end).map((byte, index) => byte ^ (key[index % 4] ?? 0)));
      expect(payload.length).toBeLessThanOrEqual(125);
      expect(payload.readUInt16BE(0)).toBe(1_008);
      const text = new TextDecoder('utf-8', { fatal: true }).decode(payload.subarray(2));
      expect(reason.startsWith(text)).toBe(true);
      expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(Math.min(Buffer.byteLength(reason), 122));
    }
  });
});
