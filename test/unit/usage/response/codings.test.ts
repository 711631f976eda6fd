import { once } from 'node:events';
import {
  brotliCompressSync,
  constants,
  createGzip,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';
import { chunked } from '../chunks.ts';
import { callOf, eventStream, jsonBody, readResponse } from './read-response.ts';
import { chatEvents, chatUsage, sse } from './upstream-streams.ts';

const chat: UsageFormat = { kind: 'openai_chat' };
const stream = Buffer.from(sse(chatEvents(chatUsage)));

describe('a coded response', () => {
  test.each([
    ['gzip', gzipSync(stream)],
    ['GZIP', gzipSync(stream)],
    ['x-gzip', gzipSync(stream)],
    ['deflate', deflateSync(stream)],
    ['br', brotliCompressSync(stream)],
    ['zstd', zstdCompressSync(stream)],
    ['identity', stream],
  ])('%s is read, and forwarded unchanged', async (coding, bytes) => {
    const headers = { ...eventStream, 'content-encoding': coding };
    for (const cuts of [[], [1], [100]]) {
      const reader = new UsageReader(callOf(chat, { isUsageHidden: true }), { status: 200, headers });
      const forwarded: Buffer[] = [];
      for (const chunk of chunked(bytes, cuts)) {
        const parts = reader.push(chunk);
        if (coding !== 'identity') expect(parts).toEqual([chunk]);
        forwarded.push(...parts);
        await reader.ready();
      }
      forwarded.push(...reader.end());
      if (coding !== 'identity') expect(Buffer.concat(forwarded).equals(bytes)).toBe(true);
      expect(reader.changesBytes).toBe(coding === 'identity');
      expect(await reader.usage()).toMatchObject({ source: 'reported', measures: { output_tokens: 12 } });
    }
  });

  test('is read as far as it arrived if it is aborted', async () => {
    const gzip = createGzip();
    const events = chatEvents(null).slice(0, -2);
    const chunks: Buffer[] = [];
    gzip.on('data', (chunk: Buffer) => void chunks.push(chunk));
    for (const event of events) {
      gzip.write(sse([event]));
      gzip.flush(constants.Z_SYNC_FLUSH);
    }
    await once(gzip, 'data');
    await new Promise<void>((resolve) => {
      gzip.flush(resolve);
    });
    gzip.destroy();
    const { usage } = await readResponse(
      callOf(chat),
      { ...eventStream, 'content-encoding': 'gzip' },
      chunks,
      { isAborted: true },
    );
    expect(usage).toMatchObject({ source: 'measured', measures: { input_tokens: 500, output_tokens: 14 } });
  });

  test.each([
    ['an unknown coding', 'lzw', stream],
    ['two codings', 'gzip, br', gzipSync(stream)],
    ['a wrong coding', 'gzip', stream],
    ['damaged bytes', 'gzip', Buffer.concat([gzipSync(stream).subarray(0, 60), Buffer.alloc(500, 7)])],
  ])('%s: the estimate stands and delivery goes on', async (_title, coding, bytes) => {
    const headers = { ...eventStream, 'content-encoding': coding };
    const { usage, forwarded } = await readResponse(callOf(chat), headers, chunked(bytes, [50]));
    expect(Buffer.from(forwarded).length).toBe(Buffer.from(bytes.toString()).length);
    expect(usage).toMatchObject({
      source: 'estimated',
      measures: { input_tokens: 500, output_tokens: 1_000 },
    });
    expect(usage.violations).toContain('unreadable_coding');
  });

  test.each([
    ['gzip', gzipSync(Buffer.alloc(300_000_000, ' '))],
    ['br', brotliCompressSync(Buffer.alloc(300_000_000, ' '))],
    ['zstd', zstdCompressSync(Buffer.alloc(300_000_000, ' '))],
  ])('%s that expands too much is given up with little work, and delivered', async (coding, bomb) => {
    const headers = { ...jsonBody, 'content-encoding': coding };
    const reader = new UsageReader(callOf(chat), { status: 200, headers });
    const before = process.memoryUsage().rss;
    let forwarded = 0;
    for (const chunk of chunked(bomb, [16_384])) {
      for (const part of reader.push(chunk)) forwarded += part.length;
      await reader.ready();
    }
    reader.end();
    const usage = await reader.usage();
    expect(forwarded).toBe(bomb.length);
    expect(usage).toMatchObject({ source: 'estimated', measures: { output_tokens: 1_000 } });
    expect(usage.violations).toContain('unreadable_coding');
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });
});
