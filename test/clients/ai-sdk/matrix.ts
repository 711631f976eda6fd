import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import AnthropicSdk from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { pythonBin } from '../../../dev/python-packages.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { openAi, textApis, uniqueModel } from './clients.ts';
import type { Target, TextApi } from './clients.ts';

/** What the SDKs call, once the servers run. */
export interface Setting {
  readonly target: Target;
  readonly sample: SampleApi;
}

/** Defines the tests that every target passes: the sample API itself, and the gateway before it. */
export function testSdks(setting: () => Setting): void {
  describe.each(textApis)('$name', (api) => {
    testAnswers(api, setting);
    testFailures(api, setting);
  });
  testOpenAiOnly(setting);
  testPython(setting);
}

function testOpenAiOnly(setting: () => Setting): void {
  test('F5: the openai package reads embeddings as numbers and as base64', async () => {
    const { target, sample } = setting();
    const model = uniqueModel();
    const client = openAi(target);
    const input = ['one text', 'another, which is longer'];
    const binary = await client.embeddings.create({ model, input, dimensions: 8 });
    const numbers = await client.embeddings.create({ model, input, dimensions: 8, encoding_format: 'float' });
    expect(binary.data.map(({ embedding }) => embedding.length)).toEqual([8, 8]);
    expect(binary.data).toEqual(numbers.data);
    const calls = await sample.calls({ model });
    expect(calls.map(({ inputTokens }) => inputTokens)).toEqual([
      binary.usage.total_tokens,
      numbers.usage.prompt_tokens,
    ]);
  });

  test('F5: all choices of a chat completion arrive, in a stream too, and all are in the usage', async () => {
    const { target, sample } = setting();
    const model = uniqueModel();
    const client = openAi(target);
    const params = { model, messages: [{ role: 'user' as const, content: 'Hello' }], n: 3 };
    const options = { headers: { 'x-sample': 'tokens=7' } };
    const whole = await client.chat.completions.create(params, options);
    const streamed = await client.chat.completions
      .stream({ ...params, stream_options: { include_usage: true } }, options)
      .finalChatCompletion();
    const texts = ({ choices }: OpenAI.ChatCompletion): (string | null)[] =>
      choices.map(({ message }) => message.content);
    expect(texts(whole)).toHaveLength(3);
    expect(texts(streamed)).toEqual(texts(whole));
    for (const { usage } of [whole, streamed]) expect(usage?.completion_tokens).toBe(21);
    expect((await sample.calls({ model })).map(({ outputTokens }) => outputTokens)).toEqual([21, 21]);
  });
}

function testPython(setting: () => Setting): void {
  test('F5: the Python packages openai and anthropic accept every answer under their strict validation', async () => {
    const { target, sample } = setting();
    const model = uniqueModel();
    const bin = await pythonBin('ai-sdk', (line) => void process.stderr.write(`${line}\n`));
    const script = join(import.meta.dirname, 'call_sdks.py');
    const { stdout } = await promisify(execFile)(join(bin, 'python'), [
      script,
      target.url,
      target.credential,
      model,
    ]);
    const answer = { text: 'Usage is metered per token', output: 5 };
    expect(JSON.parse(stdout)).toEqual({
      chat: answer,
      'chat stream': answer,
      responses: answer,
      'responses stream': answer,
      messages: answer,
      'messages stream': answer,
      embeddings: 8,
      retried: 2,
      errors: ['RateLimitError', 'InternalServerError', 'APIError', 'OverloadedError', 'APIStatusError'],
      broken: 'APIConnectionError',
    });
    const left = await sample.calls({ model: `${model}-chat`, outcome: 'left' });
    expect(left).toHaveLength(1);
  });
}

function testAnswers(api: TextApi, setting: () => Setting): void {
  test.each([
    ['whole', 'tokens=30, cached=4, reasoning=10'],
    ['whole, in pieces of three bytes', 'tokens=8, split=3'],
    ['streamed', 'tokens=30, cached=4, reasoning=10'],
    ['streamed, in pieces of three bytes', 'tokens=8, split=3'],
    ['streamed, with lines that end in CR LF', 'tokens=8, crlf'],
  ])('F5: an answer, %s: text and usage equal the journal', async (form, switches) => {
    const { target, sample } = setting();
    const model = uniqueModel();
    const seen = await (form.startsWith('whole') ? api.complete : api.stream)(target, { model, switches });
    const call = await sample.endedCall(model);
    expect(call).toMatchObject({ endpoint: api.endpoint, outcome: 'delivered', status: 200 });
    expect(seen.id).toContain(call.id);
    expect(seen.text.split(' ')).toHaveLength(call.deliveredTokens);
    expect(seen.text).toMatch(/^Usage is metered per token – naïve 計量/);
    expect(seen.usage).toEqual({
      input: call.inputTokens,
      cached: call.cachedTokens,
      output: call.outputTokens,
      reasoning: call.reasoningTokens,
    });
  });

  test('F5: an answer that reaches its bound of tokens ends there, and the SDK reads the reason', async () => {
    const { target, sample } = setting();
    for (const call of [api.complete, api.stream]) {
      const model = uniqueModel();
      const seen = await call(target, { model, switches: 'tokens=300', maxTokens: 20 });
      expect(seen.end).toMatch(/^(?:length|incomplete|max_tokens)$/);
      expect(await sample.endedCall(model)).toMatchObject({ outputTokens: 20, deliveredTokens: 20 });
    }
  });

  test('F5: an application that stops to read ends the call at the upstream', async () => {
    const { target, sample } = setting();
    const model = uniqueModel();
    const text = await api.leave(target, { model, switches: 'endless, pause=5' }, 4);
    expect(text).toBe('Usage is metered per');
    const call = await sample.endedCall(model);
    expect(call.outcome).toBe('left');
    expect(call.deliveredTokens).toBeGreaterThanOrEqual(4);
  });
}

function testFailures(api: TextApi, setting: () => Setting): void {
  test.each([
    ['400', OpenAI.BadRequestError, AnthropicSdk.BadRequestError],
    ['401', OpenAI.AuthenticationError, AnthropicSdk.AuthenticationError],
    ['404', OpenAI.NotFoundError, AnthropicSdk.NotFoundError],
    ['429', OpenAI.RateLimitError, AnthropicSdk.RateLimitError],
    ['500', OpenAI.InternalServerError, AnthropicSdk.InternalServerError],
    ['529', OpenAI.InternalServerError, AnthropicSdk.InternalServerError],
  ])(
    'F5: an error %s of the upstream is the SDK’s own error with the upstream’s words',
    async (status, ofOpenAi, ofAnthropic) => {
      const { target } = setting();
      for (const call of [api.complete, api.stream]) {
        const error = await failure(call(target, { model: uniqueModel(), switches: `status=${status}` }));
        expect(error).toBeInstanceOf(api.endpoint === '/v1/messages' ? ofAnthropic : ofOpenAi);
        expect(error).toMatchObject({ status: Number(status) });
        expect(String(error)).toContain(`required to answer ${status}`);
      }
    },
  );

  test('F5: a stream that breaks off, and one that ends with an error event, fail in the SDK', async () => {
    const { target, sample } = setting();
    for (const [switches, outcome] of [
      ['tokens=20, die=5', 'aborted'],
      ['tokens=20, fail-after=5', 'delivered'],
    ] as const) {
      const model = uniqueModel();
      expect(await failure(api.stream(target, { model, switches }))).toBeInstanceOf(Error);
      expect(await sample.endedCall(model)).toMatchObject({ outcome, deliveredTokens: 5 });
    }
    const model = uniqueModel();
    expect(await failure(api.complete(target, { model, switches: 'die=0' }))).toBeInstanceOf(Error);
  });

  test('F5: the SDK’s own retries succeed, and wait as long as Retry-After of the upstream says', async () => {
    const { target, sample } = setting();
    const model = uniqueModel();
    const startedAt = performance.now();
    const switches = 'status=429, retry-after=1, times=2, tokens=3';
    const seen = await api.stream(target, { model, switches, maxRetries: 2 });
    expect(seen.text).toBe('Usage is metered');
    expect(performance.now() - startedAt).toBeGreaterThan(1_950);
    expect((await sample.calls({ model })).map(({ status }) => status)).toEqual([429, 429, 200]);
  });
}

/** Returns the reason of a promise that rejects. */
export async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error('the call was expected to fail');
}
