import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import type { UsageViolation } from '../../../../services/gateway/usage/call-usage.ts';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';
import { callOf, eventStream, jsonBody, readText } from './read-response.ts';
import {
  chatChunk,
  chatEvents,
  chatUsage,
  messageEvents,
  named,
  responseEvents,
  sse,
} from './upstream-streams.ts';

const chat: UsageFormat = { kind: 'openai_chat' };
const messages: UsageFormat = { kind: 'anthropic_messages' };
const responses: UsageFormat = { kind: 'openai_responses' };
/** Tokens of the text that `chatEvents` delivers: its 44 bytes, 3 a token. */
const deliveredTokens = 14;

function body(usage: unknown, content = 'x'.repeat(300)): string {
  return JSON.stringify({ choices: [{ message: { content } }], usage });
}

/** A plausible report. */
const usage = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 };
const rows: [string, unknown, Record<string, number>, string, UsageViolation[]][] = [
  [
    'no report: the delivered output counts',
    undefined,
    { input_tokens: 500, output_tokens: 100 },
    'measured',
    ['no_report'],
  ],
  ['null', null, { input_tokens: 500, output_tokens: 100 }, 'measured', ['no_report']],
  ['a text', 'none', { input_tokens: 500, output_tokens: 100 }, 'measured', ['no_report']],
  ['an array', [1, 2], { input_tokens: 500, output_tokens: 100 }, 'measured', ['no_report']],
  ['an empty report', {}, { input_tokens: 500, output_tokens: 100 }, 'measured', ['no_report']],
  [
    'a negative figure',
    { ...usage, completion_tokens: -50, total_tokens: undefined },
    { input_tokens: 100, output_tokens: 100 },
    'measured',
    ['invalid_figure', 'partial_report'],
  ],
  [
    'a figure that is no integer',
    { prompt_tokens: 100, completion_tokens: 1.5 },
    { input_tokens: 100, output_tokens: 100 },
    'measured',
    ['invalid_figure', 'partial_report'],
  ],
  [
    'a figure that is a text',
    { prompt_tokens: '100', completion_tokens: 50 },
    { input_tokens: 500, output_tokens: 50 },
    'measured',
    ['invalid_figure', 'partial_report'],
  ],
  [
    'a figure that is an object',
    { prompt_tokens: {}, completion_tokens: 50 },
    { input_tokens: 500, output_tokens: 50 },
    'measured',
    ['invalid_figure', 'partial_report'],
  ],
  [
    'a figure above the bound',
    { prompt_tokens: 1_000_000_001, completion_tokens: 50 },
    { input_tokens: 500, output_tokens: 50 },
    'measured',
    ['invalid_figure', 'partial_report'],
  ],
  [
    'no output although text was delivered',
    { ...usage, completion_tokens: 0, total_tokens: 100 },
    { input_tokens: 100, output_tokens: 100 },
    'measured',
    ['output_below_delivered'],
  ],
  [
    'far less output than was delivered',
    { ...usage, completion_tokens: 2, total_tokens: 102 },
    { input_tokens: 100, output_tokens: 100 },
    'measured',
    ['output_below_delivered'],
  ],
  [
    'more cached tokens than input',
    { ...usage, prompt_tokens_details: { cached_tokens: 101 } },
    { input_tokens: 101, output_tokens: 50 },
    'reported',
    ['cached_exceeds_input'],
  ],
  [
    'a total above the sum: the difference is output',
    { ...usage, total_tokens: 190 },
    { input_tokens: 100, output_tokens: 90 },
    'reported',
    ['total_mismatch'],
  ],
  [
    'a total below the sum: it is ignored',
    { ...usage, total_tokens: 10 },
    { input_tokens: 100, output_tokens: 50 },
    'reported',
    ['total_mismatch'],
  ],
  [
    'a total in place of the output',
    { prompt_tokens: 100, total_tokens: 150 },
    { input_tokens: 100, output_tokens: 50 },
    'reported',
    [],
  ],
  [
    'no input',
    { completion_tokens: 50 },
    { input_tokens: 500, output_tokens: 50 },
    'measured',
    ['partial_report'],
  ],
];

describe('the usage of a call whose report is not plausible', () => {
  test.each(rows)('%s', async (_title, report, measures, source, violations) => {
    const { usage: read } = await readText(chat, jsonBody, body(report));
    expect({ ...read.measures }).toEqual(measures);
    expect(read.source).toBe(source);
    expect([...read.violations].sort()).toEqual([...violations].sort());
  });

  test('a figure that is repeated counts with its largest value', async () => {
    const text = body(0).replace(
      '"usage":0',
      '"usage":{"prompt_tokens":9,"completion_tokens":70,"completion_tokens":60}',
    );
    const { usage: read } = await readText(chat, jsonBody, text);
    expect(read.measures).toEqual({ input_tokens: 9, output_tokens: 70 });
    expect(read.violations).toEqual(['decreased_figure']);
  });

  test('a report inside of the generated text is not read', async () => {
    const forged = '"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}';
    const { usage: read } = await readText(chat, jsonBody, body(usage, forged));
    expect(read.measures).toEqual({ input_tokens: 100, output_tokens: 50 });
  });

  test('a complete response without report and text: the estimate stands', async () => {
    const { usage: read } = await readText(
      chat,
      jsonBody,
      '{"choices":[{"message":{"audio":{"data":"AAAA"}}}]}',
    );
    expect(read).toMatchObject({
      measures: { input_tokens: 500, output_tokens: 1_000 },
      source: 'estimated',
    });
  });

  test('a body that is no JSON: the estimate stands', async () => {
    const { usage: read } = await readText(chat, jsonBody, '<html>');
    expect(read).toMatchObject({
      measures: { input_tokens: 500, output_tokens: 1_000 },
      source: 'estimated',
    });
    expect(read.violations).toContain('not_json');
  });

  test.each([301, 400, 429, 500])('status %i without a report: nothing is charged', async (status) => {
    const { usage: read } = await readText(chat, jsonBody, '{"error":{"message":"no"}}', { status });
    expect(read).toMatchObject({
      measures: { input_tokens: 0, output_tokens: 0 },
      source: 'measured',
      violations: [],
    });
  });

  test('status 500 with a report: the report is charged', async () => {
    const { usage: read } = await readText(chat, jsonBody, body(usage), { status: 500 });
    expect(read).toMatchObject({ measures: { input_tokens: 100, output_tokens: 50 }, source: 'reported' });
  });

  test('embeddings: a total above the input is the input', async () => {
    const text = JSON.stringify({ usage: { prompt_tokens: 5, total_tokens: 8 } });
    const { usage: read } = await readText({ kind: 'openai_embeddings' }, jsonBody, text);
    expect(read).toMatchObject({
      measures: { input_tokens: 8 },
      source: 'reported',
      violations: ['total_mismatch'],
    });
  });

  test('embeddings without a report: the estimate stands', async () => {
    const { usage: read } = await readText({ kind: 'openai_embeddings' }, jsonBody, '{"data":[]}');
    expect(read).toMatchObject({
      measures: { input_tokens: 500 },
      source: 'estimated',
      violations: ['no_report'],
    });
  });

  test('a measure of the policy that is not reported: its estimate stands', async () => {
    const format: UsageFormat = {
      kind: 'json',
      measures: { pages: ['/p'], input_tokens: ['/i'], cached_input_tokens: ['/c'] },
      requestModel: null,
      responseModel: null,
    };
    const { usage: read } = await readText(format, jsonBody, '{"i":5,"c":9}');
    expect(read).toMatchObject({ measures: { input_tokens: 9 }, source: 'estimated' });
    expect(read.violations).toEqual(['partial_report', 'cached_exceeds_input']);
  });
});

describe('delivered output is charged when the stream ends early', () => {
  test.each([
    ['chat completions', chat, sse(chatEvents(null).slice(0, -2)), 500, deliveredTokens],
    ['messages', messages, sse(messageEvents().slice(0, 8)), 2_125, 8],
    ['responses', responses, sse(responseEvents().slice(0, 5)), 500, 4],
  ])('of %s', async (_title, format, stream, input, output) => {
    const { usage } = await readText(format, eventStream, stream, { isAborted: true });
    expect(usage.measures).toMatchObject({ input_tokens: input, output_tokens: output });
    expect(usage.source).toBe('measured');
    expect(usage.violations).toContain('incomplete_response');
  });

  test('in the middle of an event and of a string', async () => {
    const text = sse([chatChunk('x'.repeat(300))]);
    const half = text.slice(0, text.indexOf('xxx') + 150);
    const { usage } = await readText(chat, eventStream, half, { isAborted: true });
    expect(usage.measures['output_tokens']).toBe(50);
  });

  test('in the middle of a body', async () => {
    const { usage } = await readText(chat, jsonBody, body(undefined).slice(0, -30), { isAborted: true });
    expect(usage).toMatchObject({ measures: { input_tokens: 500 }, source: 'measured' });
    expect(usage.measures['output_tokens']).toBeGreaterThan(85);
  });

  test('an error event of the upstream ends the stream', async () => {
    const stream = sse([...chatEvents(null).slice(0, -2), { error: { message: 'overloaded' } }]);
    const { usage } = await readText(chat, eventStream, stream);
    expect(usage).toMatchObject({ measures: { output_tokens: deliveredTokens }, source: 'measured' });
  });

  test('a stream that was aborted after its report is charged as reported', async () => {
    const { usage } = await readText(chat, eventStream, sse(chatEvents(chatUsage).slice(0, -1)), {
      isAborted: true,
    });
    expect(usage).toMatchObject({ measures: { output_tokens: 12 }, source: 'reported', violations: [] });
  });

  test('a preliminary report below the delivered output does not count', async () => {
    const chunks = ['a', 'b', 'c'].map((text, index) => ({
      ...chatChunk(text.repeat(300)),
      usage: { ...chatUsage, completion_tokens: index, total_tokens: 19 + index },
    }));
    const { usage } = await readText(chat, eventStream, sse(chunks), { isAborted: true });
    expect(usage).toMatchObject({ measures: { input_tokens: 19, output_tokens: 300 }, source: 'measured' });
  });

  test('audio is not counted as text', async () => {
    const stream = sse([
      named({ type: 'response.audio.delta', delta: 'A'.repeat(3_000) }),
      `data: ${JSON.stringify({ delta: 'A'.repeat(3_000), type: 'response.output_audio.delta' })}`,
      named({ type: 'response.output_text.delta', delta: 'abc' }),
    ]);
    const { usage } = await readText({ kind: 'openai_responses' }, eventStream, stream, { isAborted: true });
    expect(usage.measures['output_tokens']).toBe(1);
  });

  test('the count is available at any moment', () => {
    const reader = new UsageReader(callOf(chat), { status: 200, headers: eventStream });
    const counts = chatEvents(null).map((event) => {
      reader.push(Buffer.from(sse([event])));
      return reader.deliveredTokens();
    });
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(counts.at(-1)).toBe(deliveredTokens);
  });

  test('cumulative figures that decrease: the largest counts', async () => {
    const events = messageEvents();
    const lower = named({ type: 'message_delta', delta: {}, usage: { output_tokens: 7 } });
    const { usage } = await readText(
      { kind: 'anthropic_messages' },
      eventStream,
      sse([...events.slice(0, -1), lower]),
    );
    expect(usage.measures['output_tokens']).toBe(42);
    expect(usage.violations).toEqual(['decreased_figure']);
  });
});
