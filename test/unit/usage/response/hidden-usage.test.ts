import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';
import { chunked, splits } from '../chunks.ts';
import { callOf, eventStream, readResponse } from './read-response.ts';
import { chatChunk, chatEvents, chatUsage, sse } from './upstream-streams.ts';

const hidden = callOf({ kind: 'openai_chat' }, { isUsageHidden: true });
const reported = sse(chatEvents(chatUsage));
/** What the upstream sends if the report was not requested; `obfuscation` depends on another option. */
const unreported = sse(chatEvents(null)).replaceAll('}\n\n', ',"obfuscation":"aB3"}\n\n');

describe('a report that the client did not request', () => {
  test('is removed byte for byte, in any chunks', async () => {
    await fc.assert(
      fc.asyncProperty(splits, fc.constantFrom('\n', '\r\n', '\r'), async (cuts, lineEnd) => {
        const chunks = chunked(Buffer.from(reported.replaceAll('\n', lineEnd)), cuts);
        const { forwarded, usage } = await readResponse(hidden, eventStream, chunks);
        expect(forwarded.replaceAll(lineEnd, '\n')).toBe(unreported);
        expect(usage).toMatchObject({ source: 'reported', measures: { output_tokens: 12 }, violations: [] });
      }),
    );
  });

  test('is forwarded to a client that requested it', async () => {
    const call = callOf({ kind: 'openai_chat' }, { isUsageRequested: true });
    const { forwarded } = await readResponse(call, eventStream, [Buffer.from(reported)]);
    expect(forwarded).toBe(reported);
  });

  test('is removed if the stream ends without a blank line', async () => {
    const cutOff = reported.slice(0, reported.indexOf('data: [DONE]') - 1);
    const { forwarded, usage } = await readResponse(hidden, eventStream, [Buffer.from(cutOff)]);
    expect(forwarded).not.toContain('prompt_tokens');
    expect(usage.measures).toMatchObject({ output_tokens: 12 });
  });

  test.each([
    ['a choice and the report in one event', { ...chatChunk('a', 'stop'), usage: chatUsage }],
    ['an error', { error: { message: 'overloaded', code: 500 } }],
    ['no choice and no report', { choices: [], prompt_filter_results: [{ prompt_index: 0 }] }],
    ['a report that is text', { choices: [], usage: 'much' }],
    ['an array', [{ usage: null }, { usage: {} }]],
    [
      'usage inside of another member',
      { choices: [], x: { usage: { prompt_tokens: 1 }, y: 1 }, z: [{ usage: null }] },
    ],
    ['null as the first member', { usage: null, choices: [{ index: 0, delta: { content: 'usage' } }] }],
  ])('does not remove an event with %s', async (_title, event) => {
    const stream = sse([event, 'data: [DONE]']);
    for (const cuts of [[], [1], [7, 3]]) {
      const { forwarded } = await readResponse(hidden, eventStream, chunked(Buffer.from(stream), cuts));
      expect(forwarded).toBe(stream);
    }
  });

  test('does not remove or delay what is no JSON', async () => {
    const stream = 'data: {"choices":[],"usage":{oops}}\n\n: comment\n\ndata: text\n\nevent: end\n\n';
    const { forwarded } = await readResponse(hidden, eventStream, [Buffer.from(stream)]);
    expect(forwarded).toBe(stream);
  });
});

describe('bytes are held only while they may have to be removed', () => {
  test('a chunk that ends with an event is forwarded at once', () => {
    const reader = new UsageReader(hidden, { status: 200, headers: eventStream });
    for (const event of chatEvents(null)) {
      const chunk = Buffer.from(sse([event]));
      expect(Buffer.concat(reader.push(chunk)).toString()).toBe(chunk.toString());
    }
  });

  test('an event is forwarded from its first choice on', () => {
    const reader = new UsageReader(hidden, { status: 200, headers: eventStream });
    const text = sse([chatChunk('a long text')]);
    const choice = text.indexOf('{"index"');
    expect(reader.push(Buffer.from(text.slice(0, choice)))).toEqual([]);
    expect(Buffer.concat(reader.push(Buffer.from(text.slice(choice, choice + 40)))).toString()).toBe(
      text.slice(0, choice + 40),
    );
    expect(Buffer.concat(reader.push(Buffer.from(text.slice(choice + 40)))).toString()).toBe(
      text.slice(choice + 40),
    );
  });

  test('a comment is forwarded at once', () => {
    const reader = new UsageReader(hidden, { status: 200, headers: eventStream });
    expect(Buffer.concat(reader.push(Buffer.from(': ping\n'))).toString()).toBe(': ping\n');
  });

  test('at most 8 KiB are held, then the event is forwarded', () => {
    const reader = new UsageReader(hidden, { status: 200, headers: eventStream });
    const part = Buffer.alloc(1_000, 'x');
    let pushed = 0;
    let forwarded = 0;
    for (const chunk of [Buffer.from('data: {"id":"'), ...Array<Buffer>(100).fill(part)]) {
      pushed += chunk.length;
      forwarded += Buffer.concat(reader.push(chunk)).length;
      expect(pushed - forwarded).toBeLessThanOrEqual(8_192);
    }
    expect(forwarded).toBeGreaterThan(90_000);
  });
});
