import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { chunked, splits } from '../chunks.ts';
import { callOf, eventStream, jsonBody, readResponse, readText } from './read-response.ts';
import { chatEvents, chatUsage, messageEvents, responseEvents, sse } from './upstream-streams.ts';

const chat: UsageFormat = { kind: 'openai_chat' };
const messages: UsageFormat = { kind: 'anthropic_messages' };
const responses: UsageFormat = { kind: 'openai_responses' };
const completions: UsageFormat = { kind: 'openai_completions' };
const embeddings: UsageFormat = { kind: 'openai_embeddings' };
const pages: UsageFormat = {
  kind: 'json',
  measures: { pages: ['/meta/pages'], output_tokens: ['/meta/tokens/0', '/meta/tokens/1'] },
  requestModel: null,
  responseModel: '/meta/model',
};

const chatMeasures = { input_tokens: 19, cached_input_tokens: 8, output_tokens: 12 };
const messageMeasures = {
  input_tokens: 2_125,
  cached_input_tokens: 2_000,
  cache_write_input_tokens: 100,
  output_tokens: 42,
};
const responseMeasures = { input_tokens: 36, cached_input_tokens: 30, output_tokens: 87 };

const reportedStreams: readonly [string, UsageFormat, string, object, string][] = [
  ['chat completions', chat, sse(chatEvents(chatUsage)), chatMeasures, 'gpt-4o-2024-08-06'],
  ['messages', messages, sse(messageEvents()), messageMeasures, 'claude-x'],
  ['responses', responses, sse(responseEvents()), responseMeasures, 'gpt-5-2025'],
  [
    'completions',
    completions,
    sse([
      { model: 'm', choices: [{ index: 0, text: 'Hi', finish_reason: 'stop' }] },
      { choices: [], usage: chatUsage },
    ]),
    chatMeasures,
    'm',
  ],
  [
    'events of a format of the policy',
    pages,
    sse([{ meta: { pages: 1 } }, { meta: { pages: 3, model: 'ocr', tokens: [5, 7] } }]),
    { pages: 3, output_tokens: 12 },
    'ocr',
  ],
];

const reportedBodies: readonly [string, UsageFormat, object, object][] = [
  [
    'chat completions',
    chat,
    { id: 'x', model: 'm', choices: [{ message: { content: 'Hello' } }], usage: chatUsage },
    chatMeasures,
  ],
  ['completions', completions, { model: 'm', choices: [{ text: 'Hello' }], usage: chatUsage }, chatMeasures],
  [
    'embeddings',
    embeddings,
    { model: 'm', data: [{ embedding: [0.1, -2e-3] }], usage: { prompt_tokens: 8, total_tokens: 8 } },
    { input_tokens: 8 },
  ],
  [
    'messages',
    messages,
    {
      model: 'm',
      content: [{ type: 'text', text: 'Hello' }],
      usage: {
        input_tokens: 5,
        cache_read_input_tokens: 7,
        cache_creation_input_tokens: null,
        output_tokens: 9,
      },
    },
    { input_tokens: 12, cached_input_tokens: 7, output_tokens: 9 },
  ],
  [
    'responses',
    responses,
    {
      model: 'm',
      output: [{ content: [{ text: 'Hi' }] }],
      usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
    },
    { input_tokens: 3, output_tokens: 2 },
  ],
  [
    'a format of the policy',
    pages,
    { meta: { pages: 2, tokens: [1], model: 'm' } },
    { pages: 2, output_tokens: 1 },
  ],
];

describe('usage that an upstream reports', () => {
  test.each(reportedStreams)('of a stream of %s', async (_title, format, stream, measures, servedModel) => {
    const { usage, forwarded } = await readText(format, eventStream, stream);
    expect(usage).toEqual({
      measures,
      source: 'reported',
      model: 'requested-model',
      servedModel,
      violations: [],
    });
    expect(forwarded).toBe(stream);
  });

  test.each(reportedBodies)('of a body of %s', async (_title, format, body, measures) => {
    const { usage, forwarded } = await readText(format, jsonBody, JSON.stringify(body, null, 2));
    expect(usage).toEqual({
      measures,
      source: 'reported',
      model: 'requested-model',
      servedModel: 'm',
      violations: [],
    });
    expect(forwarded).toBe(JSON.stringify(body, null, 2));
  });

  test('of header fields and trailer fields', async () => {
    const format: UsageFormat = {
      kind: 'header',
      measures: { credits: 'x-credits', pages: 'x-pages' },
      requestModel: null,
    };
    const { usage } = await readText(format, { 'x-credits': ' 7 ', 'x-pages': '2' }, 'not JSON');
    expect(usage).toMatchObject({ measures: { credits: 7, pages: 2 }, source: 'reported', violations: [] });
  });

  test.each(['-1', '1.5', '0x10', '', 'seven', '1e3', '9'.repeat(20), '1, 2'])(
    'is not read from a header field with the value %j',
    async (value) => {
      const format: UsageFormat = { kind: 'header', measures: { credits: 'x-credits' }, requestModel: null };
      const call = callOf(format, { estimate: { credits: 4 } });
      const { usage } = await readResponse(call, { 'x-credits': value }, []);
      expect(usage).toMatchObject({ measures: { credits: 4 }, source: 'estimated' });
      expect(usage.violations).toContain('invalid_figure');
    },
  );
});

describe('any chunks, line ends and comments', () => {
  const streams: readonly [string, UsageFormat, string][] = [
    ['chat completions', chat, sse(chatEvents(chatUsage))],
    ['messages', messages, sse(messageEvents())],
    ['responses', responses, sse(responseEvents())],
  ];

  test.each(streams)(
    'give the same usage of %s and forward the same bytes',
    async (_title, format, stream) => {
      const { usage: expected } = await readText(format, eventStream, stream);
      await fc.assert(
        fc.asyncProperty(
          splits,
          fc.constantFrom('\n', '\r\n', '\r'),
          fc.boolean(),
          async (cuts, lineEnd, hasExtras) => {
            const commented = hasExtras
              ? `\ufeff: ping\n\n${stream.replaceAll('data: ', ': x\nid: 1\ndata:')}`
              : stream;
            const text = commented.replaceAll('\n', lineEnd);
            const { usage, forwarded } = await readResponse(
              callOf(format),
              eventStream,
              chunked(Buffer.from(text), cuts),
            );
            expect(usage).toEqual(expected);
            expect(forwarded).toBe(text);
          },
        ),
      );
    },
  );

  test('may spread the data of an event over several lines', async () => {
    const stream = sse([{ choices: [], usage: chatUsage }])
      .replaceAll(',"', ',\ndata: "')
      .replaceAll(':{', ':\ndata:{');
    expect(stream.split('\n').length).toBeGreaterThan(6);
    const { usage } = await readText(chat, eventStream, stream);
    expect(usage.measures).toEqual(chatMeasures);
  });

  test('give the same usage of a body', async () => {
    const body = {
      choices: [
        {
          message: { content: 'Hé "llo" \u2028 🙂', tool_calls: [{ function: { arguments: '{"a":[1]}' } }] },
        },
      ],
      usage: { prompt_tokens: 5 },
    };
    const text = JSON.stringify(body);
    const { usage: expected } = await readText(chat, jsonBody, text);
    expect(expected).toMatchObject({
      measures: { input_tokens: 5, output_tokens: 9 },
      source: 'measured',
    });
    await fc.assert(
      fc.asyncProperty(splits, async (cuts) => {
        const { usage, forwarded } = await readResponse(
          callOf(chat),
          jsonBody,
          chunked(Buffer.from(text), cuts),
        );
        expect(usage).toEqual(expected);
        expect(forwarded).toBe(text);
      }),
    );
  });

  test('a line of 20 MB is read without a bound on its length', async () => {
    const long = { choices: [{ index: 0, delta: { content: 'x'.repeat(20_000_000) } }] };
    const { usage } = await readText(
      chat,
      eventStream,
      sse([
        long,
        { choices: [], usage: { ...chatUsage, completion_tokens: 200_000, total_tokens: 200_019 } },
      ]),
    );
    expect(usage.measures['output_tokens']).toBe(200_000);
    expect(usage.source).toBe('reported');
  });
});
