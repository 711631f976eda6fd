import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';
import { chunked, splits } from '../chunks.ts';
import { callOf, eventStream, jsonBody } from './read-response.ts';
import { chatChunk, chatEvents, chatUsage, messageEvents, responseEvents, sse } from './upstream-streams.ts';

const formats: readonly [string, UsageFormat, (object | string)[]][] = [
  ['chat completions', { kind: 'openai_chat' }, chatEvents(chatUsage)],
  ['messages', { kind: 'anthropic_messages' }, messageEvents()],
  ['responses', { kind: 'openai_responses' }, responseEvents()],
];

function readerOf(format: UsageFormat, isUsageHidden = false): UsageReader {
  return new UsageReader(callOf(format, { isUsageHidden }), { status: 200, headers: eventStream });
}

/** The data of all events of a stream; fails if an event is not complete. */
function dataOf(stream: string): unknown[] {
  expect(stream.endsWith('\n\n')).toBe(true);
  const lines = stream.split('\n').filter((line) => line.startsWith('data: '));
  return lines.filter((line) => line !== 'data: [DONE]').map((line) => JSON.parse(line.slice(6)) as unknown);
}

describe('a stream whose budget is exhausted', () => {
  test.each(formats)(
    'of %s is cut between two events, at any time and in any chunks',
    async (_title, format, events) => {
      await fc.assert(
        fc.asyncProperty(splits, fc.nat(), fc.boolean(), async (cuts, pick, isHidden) => {
          const chunks = chunked(Buffer.from(sse(events)), cuts);
          const cutAt = pick % chunks.length;
          const reader = readerOf(format, isHidden && format.kind === 'openai_chat');
          const forwarded: Buffer[] = [];
          for (const [index, chunk] of chunks.entries()) {
            if (index === cutAt) forwarded.push(...reader.cut());
            forwarded.push(...reader.push(chunk));
          }
          forwarded.push(...reader.end());
          expect(reader.isCut).toBe(true);
          const text = Buffer.concat(forwarded).toString();
          const data = dataOf(text);
          expect(data.length).toBeGreaterThan(0);
          const { measures, source } = await reader.usage();
          const least = source === 'reported' ? chatUsage.completion_tokens : reader.deliveredTokens();
          expect(measures['output_tokens']).toBeGreaterThanOrEqual(least);
          expect(reader.push(Buffer.from('data: {}\n\n'))).toEqual([]);
        }),
        // The last chunk before the cut ends within the digits of the reported tokens.
        { examples: [[[23, 2, 14, 15], 1_294_277_441, true]] },
      );
    },
  );

  test('ends every open choice with the reason "length", then the stream', () => {
    const reader = readerOf({ kind: 'openai_chat' });
    reader.push(
      Buffer.from(sse([chatChunk('a', null, 0), chatChunk('b', null, 1), chatChunk('', 'stop', 0)])),
    );
    const text = Buffer.concat(reader.cut()).toString();
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(dataOf(text)).toEqual([
      {
        id: 'chatcmpl-1',
        object: 'chat.completion.chunk',
        created: 1_790_000_000,
        model: 'gpt-4o-2024-08-06',
        choices: [{ index: 1, delta: {}, finish_reason: 'length' }],
        tollgate: { reason: 'budget_exhausted' },
      },
    ]);
  });

  test('reports usage to a client that requested it', () => {
    const call = callOf({ kind: 'openai_chat' }, { isUsageRequested: true });
    const reader = new UsageReader(call, { status: 200, headers: eventStream });
    reader.push(Buffer.from(sse([chatChunk('abcdef')])));
    const [, report] = dataOf(Buffer.concat(reader.cut()).toString());
    expect(report).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 500, completion_tokens: 2, total_tokens: 502 },
    });
  });

  test('ends a message with its open block', () => {
    const reader = readerOf({ kind: 'anthropic_messages' });
    reader.push(Buffer.from(sse(messageEvents().slice(0, 4))));
    expect(dataOf(Buffer.concat(reader.cut()).toString())).toEqual([
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'max_tokens', stop_sequence: null },
        usage: { output_tokens: 2 },
      },
      { type: 'message_stop' },
    ]);
  });

  test('reports an error if the message has not begun', () => {
    const reader = readerOf({ kind: 'anthropic_messages' });
    expect(Buffer.concat(reader.cut()).toString()).toMatch(/^event: error\ndata: /);
  });

  test('ends a response as incomplete, with the next sequence number', () => {
    const reader = readerOf({ kind: 'openai_responses' });
    reader.push(Buffer.from(sse(responseEvents().slice(0, 4))));
    const [event] = dataOf(Buffer.concat(reader.cut()).toString());
    expect(event).toMatchObject({
      type: 'response.incomplete',
      sequence_number: 4,
      response: { id: 'resp_1', status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
    });
  });

  test('charges what was delivered until then', async () => {
    const reader = readerOf({ kind: 'openai_chat' });
    reader.push(Buffer.from(sse([chatChunk('x'.repeat(30))])));
    reader.cut();
    reader.push(Buffer.from(sse([chatChunk('y'.repeat(3_000))])));
    expect(await reader.usage()).toMatchObject({ measures: { output_tokens: 10 }, source: 'measured' });
  });

  test('completes a partial event first', () => {
    const reader = readerOf({ kind: 'openai_chat' });
    const text = sse([chatChunk('abc')]);
    reader.push(Buffer.from(text.slice(0, 30)));
    expect(reader.cut()).toEqual([]);
    expect(reader.isCut).toBe(false);
    const rest = Buffer.concat(reader.push(Buffer.from(`${text.slice(30)}data: {"more":1}\n\n`))).toString();
    expect(rest.startsWith(text.slice(30))).toBe(true);
    expect(rest).not.toContain('more');
    expect(reader.isCut).toBe(true);
  });
});

test('a body cannot be cut, and a coded stream cannot be cut', () => {
  const json = new UsageReader(callOf({ kind: 'openai_chat' }), { status: 200, headers: jsonBody });
  expect([json.canCut, json.cut()]).toEqual([false, []]);
  const headers = { ...eventStream, 'content-encoding': 'gzip' };
  expect(new UsageReader(callOf({ kind: 'openai_chat' }), { status: 200, headers }).canCut).toBe(false);
});
