import { brotliCompressSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { prepared } from './prepare.ts';

const chat: UsageFormat = { kind: 'openai_chat' };
const messages: UsageFormat = { kind: 'anthropic_messages' };
const responses: UsageFormat = { kind: 'openai_responses' };

describe('a report is requested on behalf of the client', () => {
  test.each([
    ['{"stream":true,"model":"m"}', '{"stream":true,"model":"m","stream_options":{"include_usage":true}}'],
    [
      '{"stream":true,"model":"m"\n} ',
      '{"stream":true,"model":"m"\n,"stream_options":{"include_usage":true}} ',
    ],
    [
      '{"model":"m","stream_options":null,"stream":true}',
      '{"model":"m","stream_options":{"include_usage":true},"stream":true}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{ "a":[1] }}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true, "a":[1] }}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage":true}}',
    ],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage": null }}',
      '{"model":"m","stream":true,"stream_options":{"include_usage": true }}',
    ],
    [
      '{"seed":12345678901234567890,"x":1.0,"x":"\\u00e9é","stream":true,"model":"m"}',
      '{"seed":12345678901234567890,"x":1.0,"x":"\\u00e9é","stream":true,"model":"m","stream_options":{"include_usage":true}}',
    ],
  ])('by the smallest edit of %s', async (body, edited) => {
    for (const kind of ['openai_chat', 'openai_completions'] as const) {
      const call = await prepared({ kind }, body);
      expect(call.body.toString()).toBe(edited);
      expect(call).toMatchObject({
        isRewritten: true,
        isUsageHidden: true,
        isUsageRequested: false,
        isStream: true,
      });
    }
  });

  test('the edited body requests the report, whatever else it contains', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.dictionary(fc.string(), fc.jsonValue()),
        async (members, options) => {
          const request = {
            ...members,
            model: 'm',
            stream: true,
            max_tokens: 1,
            stream_options: { ...options, include_usage: false },
          };
          const { body } = await prepared(chat, JSON.stringify(request, null, 1));
          expect(JSON.parse(body.toString())).toEqual({
            ...JSON.parse(JSON.stringify(request)),
            stream_options: { ...(JSON.parse(JSON.stringify(options)) as object), include_usage: true },
          });
        },
      ),
    );
  });

  test.each([
    ['the client requests it', chat, '{"model":"m","stream":true,"stream_options":{"include_usage":true}}'],
    ['the response is no stream', chat, '{"model":"m","stream":false}'],
    ['the format reports without a request', messages, '{"model":"m","stream":true}'],
    ['the format reports without a request', responses, '{"model":"m","stream":true}'],
  ])('but not if %s', async (_title, format, body) => {
    const call = await prepared(format, body);
    expect(call.body.toString()).toBe(body);
    expect(call).toMatchObject({ isRewritten: false, isUsageHidden: false });
  });

  test('a coded body is forwarded as it is, or decoded if it is edited', async () => {
    const plain = gzipSync('{"model":"m"}');
    expect((await prepared(chat, plain, {}, 'gzip')).body).toBe(plain);
    const edited = await prepared(chat, brotliCompressSync('{"model":"m","stream":true}'), {}, 'br');
    expect(edited.isRewritten).toBe(true);
    expect(JSON.parse(edited.body.toString())).toMatchObject({
      model: 'm',
      stream_options: { include_usage: true },
    });
  });
});
