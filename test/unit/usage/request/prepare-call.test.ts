import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { prepare, prepared } from './prepare.ts';

const chat: UsageFormat = { kind: 'openai_chat' };

async function outputOf(body: string, format = chat): Promise<number | undefined> {
  return (await prepared(format, body, { reserve: { output_tokens: 1_000 } })).estimate['output_tokens'];
}

async function inputOf(body: object, format = chat, bytesPerToken = 1): Promise<number> {
  return (await prepared(format, body, { bytesPerToken })).estimate['input_tokens']!;
}

describe('the output to reserve', () => {
  test.each([
    ['{"model":"m"}', 1_000],
    ['{"model":"m","max_tokens":null}', 1_000],
    ['{"model":"m","max_tokens":50}', 50],
    ['{"model":"m","max_completion_tokens":5,"max_tokens":70}', 70],
    ['{"model":"m","max_tokens":5,"max_output_tokens":80}', 80],
    ['{"model":"m","max_tokens":5,"max_tokens_to_sample":90}', 90],
    ['{"model":"m","max_tokens":5,"max_tokens":60,"max_tokens":7}', 60],
    ['{"model":"m","max_tokens":5,"max\\u005ftokens":60}', 60],
    ['{"model":"m","max_tokens":5,"Max_Tokens":60}', 60],
    ['{"model":"m","max_tokens":5,"max_to\u212aens":60}', 60],
    ['{"model":"m","max_tokens":5,"max_token\u017f":60}', 60],
    ['{"model":"m","max_tokens":"2_000"}', 2_000],
    ['{"model":"m","max_tokens":2e3}', 2_000],
    ['{"model":"m","max_tokens":1.5}', 2],
    ['{"model":"m","max_tokens":5,"max_completion_tokens":-1}', 1_000],
    ['{"model":"m","max_tokens":5,"max_completion_tokens":0}', 1_000],
    ['{"model":"m","max_tokens":50,"n":3}', 150],
    ['{"model":"m","max_tokens":50,"n":3,"n":1,"best_of":4}', 200],
    ['{"model":"m","max_tokens":9007199254740991,"n":9007199254740991}', Number.MAX_SAFE_INTEGER],
    ['{"model":"m","messages":[{"max_tokens":9}],"max_tokens":5}', 5],
  ])('%s: %i tokens', async (body, tokens) => {
    expect(await outputOf(body)).toBe(tokens);
  });

  test('each prompt of a completion has an output of its own', async () => {
    const format: UsageFormat = { kind: 'openai_completions' };
    expect(await outputOf('{"model":"m","max_tokens":10,"prompt":["a","b","c"],"n":2}', format)).toBe(60);
    expect(await outputOf('{"model":"m","max_tokens":10,"prompt":[[1,2],[3]]}', format)).toBe(20);
    expect(await outputOf('{"model":"m","max_tokens":10,"prompt":[1,2,3]}', format)).toBe(10);
    expect(await outputOf('{"model":"m","max_tokens":10,"prompt":"a"}', format)).toBe(10);
  });

  test('embeddings have no output', async () => {
    const { estimate } = await prepared({ kind: 'openai_embeddings' }, { model: 'm', input: 'a' });
    expect(Object.keys(estimate)).toEqual(['input_tokens']);
  });
});

describe('the input to reserve', () => {
  test('is an upper bound of the bytes of all text, however the text is escaped', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' })), fc.boolean(), async (contents, escaped) => {
        const plain = JSON.stringify({
          model: 'm',
          messages: contents.map((content) => ({ role: 'user', content })),
        });
        const text = escaped
          ? plain.replaceAll(
              /[\u0080-\uffff]/g,
              (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
            )
          : plain;
        const { estimate } = await prepared(chat, text, { bytesPerToken: 1 });
        const bytes = contents.reduce((sum, content) => sum + Buffer.byteLength(content), 0);
        expect(estimate['input_tokens']).toBeGreaterThanOrEqual(bytes);
        expect(estimate['input_tokens']).toBeLessThanOrEqual(bytes + 60 + 40 * contents.length);
      }),
    );
  });

  test('divides the bytes by the bytes of a token', async () => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'x'.repeat(3_000) }] };
    const exact = await inputOf(body, chat, 1);
    expect(await inputOf(body, chat, 3)).toBe(Math.ceil(exact / 3));
  });

  test('whitespace between tokens does not count', async () => {
    const body = { model: 'm', messages: [{ content: 'a b' }] };
    const compact = await prepared(chat, JSON.stringify(body));
    const indented = await prepared(chat, JSON.stringify(body, null, 8));
    expect(indented.estimate).toEqual(compact.estimate);
  });

  const base64 = 'iVBORw0KGgo'.repeat(1_000);
  const empty = { model: 'm', messages: [] };
  test.each([
    ['image, OpenAI', { type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } }, 1_600],
    ['image by URL', { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }, 1_600],
    ['image, responses', { type: 'input_image', image_url: `data:image/png;base64,${base64}` }, 1_600],
    [
      'image, Anthropic',
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: base64 } },
      1_600,
    ],
    [
      'image in a tool result',
      { type: 'tool_result', content: [{ type: 'image', source: { type: 'base64', data: base64 } }] },
      1_600,
    ],
    ['audio', { type: 'input_audio', input_audio: { data: base64, format: 'wav' } }, 2_000],
    [
      'file',
      { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${base64}` } },
      10_000,
    ],
    [
      'document',
      { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: base64 } },
      10_000,
    ],
    ['base64 outside of a known part', { x: { data: base64 } }, 10_000],
    ['a reference to an item', { type: 'item_reference', id: 'm1' }, 8_000],
  ])('%s: an allowance in place of the base64', async (_title, part, allowance) => {
    const input = await inputOf({ ...empty, messages: [{ role: 'user', content: [part] }] });
    expect(input).toBeGreaterThanOrEqual(allowance);
    expect(input).toBeLessThan(allowance + 400);
  });

  test.each([
    ['a content of base64', { type: 'text', text: base64 }],
    [
      'a plain text document',
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: base64 } },
    ],
    ['a document with words', { type: 'document', source: { type: 'text', data: 'word '.repeat(2_200) } }],
    ['data with words', { data: 'word '.repeat(2_200) }],
    ['a data URL without base64', { url: `data:text/plain,${base64}` }],
  ])('%s counts as text', async (_title, part) => {
    expect(await inputOf({ ...empty, messages: [part] })).toBeGreaterThan(11_000);
  });

  test('a number of an array of tokens is one token', async () => {
    const format: UsageFormat = { kind: 'openai_embeddings' };
    const few = await inputOf({ model: 'm', input: [] }, format);
    expect(await inputOf({ model: 'm', input: Array<number>(100).fill(123_456) }, format)).toBe(few + 100);
    expect(await inputOf({ model: 'm', input: [Array<number>(100).fill(123_456)] }, format)).toBeLessThan(
      few + 105,
    );
  });

  test.each([{ previous_response_id: 'resp_1' }, { conversation: { id: 'c' } }, { prompt: { id: 'p' } }])(
    'stored context has an allowance: %j',
    async (member) => {
      expect(await inputOf({ model: 'm', ...member }, { kind: 'openai_responses' })).toBeGreaterThan(8_000);
    },
  );
});

describe('a request that cannot be estimated', () => {
  test.each([
    ['', 'not_json'],
    ['model=m', 'not_json'],
    ['[]', 'not_json'],
    ['"m"', 'not_json'],
    ['{"model":"m"', 'not_json'],
    ['{"model":"m","max_tokens":NaN}', 'not_json'],
    [Buffer.from('{"model":"m"}', 'utf16le'), 'not_json'],
    ['{}', 'no_model'],
    ['{"model":""}', 'no_model'],
    ['{"model":null}', 'no_model'],
    ['{"model":{"a":1}}', 'no_model'],
    [`{"model":"${'m'.repeat(257)}"}`, 'no_model'],
    [`{"model":"${'m'.repeat(2_000)}"}`, 'no_model'],
    ['{"model":"cheap","model":"dear"}', 'contradictory_member'],
    ['{"model":"cheap","Model":"dear"}', 'contradictory_member'],
    ['{"model":"m","stream":false,"stream":true}', 'contradictory_member'],
    ['{"model":"m","stream_options":{},"stream_options":{"include_usage":false}}', 'contradictory_member'],
    ['{"model":"m","max_tokens":{}}', 'unreadable_limit'],
    [`{"model":"m","max_tokens":1${'0'.repeat(600)}}`, 'unreadable_limit'],
    [`{"model":"m","max_tokens":"${'1'.repeat(600)}"}`, 'unreadable_limit'],
  ])('%s: %s', async (body, code) => {
    expect(await prepare(chat, body)).toMatchObject({ violation: { code } });
  });

  test('the content coding is unknown, wrong, or expands too much', async () => {
    expect(await prepare(chat, '{}', {}, 'lzw')).toMatchObject({ violation: { code: 'unreadable_coding' } });
    expect(await prepare(chat, '{}', {}, 'gzip')).toMatchObject({ violation: { code: 'unreadable_coding' } });
    const bomb = gzipSync(Buffer.alloc(5_000_000));
    expect(await prepare(chat, bomb, {}, 'gzip')).toMatchObject({ violation: { code: 'too_large' } });
  });
});

describe('a format of the policy', () => {
  const json: UsageFormat = {
    kind: 'json',
    measures: { pages: ['/p'], output_tokens: ['/o'], input_tokens: ['/i'] },
    requestModel: '/engine/name',
    responseModel: null,
  };

  test('reserves what the policy reserves, and reads limit and model of the request', async () => {
    const call = await prepared(
      json,
      { engine: { name: 'ocr' }, max_tokens: 70, text: 'x'.repeat(300) },
      { reserve: { pages: 5, output_tokens: 9, other: 3 } },
    );
    expect(call).toMatchObject({ model: 'ocr', isStream: false, isRewritten: false });
    expect(call.estimate).toMatchObject({ pages: 5, output_tokens: 70 });
    expect(call.estimate['input_tokens']).toBeGreaterThanOrEqual(100);
    expect(call.estimate).not.toHaveProperty('other');
  });

  test('refuses a request without the model that it requires', async () => {
    expect(await prepare(json, { engine: {} })).toMatchObject({ violation: { code: 'no_model' } });
    expect(await prepare(json, 'text')).toMatchObject({ violation: { code: 'not_json' } });
    expect(await prepare(json, '{"engine":{"name":"a","name":"b"}}')).toMatchObject({
      violation: { code: 'contradictory_member' },
    });
  });

  test('accepts any body if it requires no model', async () => {
    const header: UsageFormat = {
      kind: 'header',
      measures: { input_tokens: 'x-tokens', credits: 'x-credits' },
      requestModel: null,
    };
    const call = await prepared(header, 'x'.repeat(30), { reserve: { credits: 2 } });
    expect(call).toMatchObject({ model: null, estimate: { input_tokens: 10, credits: 2 } });
  });
});
