import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import type { UsageFormat } from '../../../shared/domain/usage/format.ts';
import { UsageReader } from '../../../services/gateway/usage/usage-reader.ts';
import { callOf, eventStream } from '../../unit/usage/response/read-response.ts';
import {
  chatEvents,
  chatUsage,
  messageEvents,
  responseEvents,
  sse,
} from '../../unit/usage/response/upstream-streams.ts';

const chat: UsageFormat = { kind: 'openai_chat' };
const messages: UsageFormat = { kind: 'anthropic_messages' };
const responses: UsageFormat = { kind: 'openai_responses' };

const question = { model: 'm', messages: [{ role: 'user' as const, content: 'Hi' }] };

/** A `fetch` whose response is what a client receives through a reader; with `cutAfter` it is cut after so many events. */
function through(
  format: UsageFormat,
  events: readonly (object | string)[],
  { isUsageHidden = false, isUsageRequested = false, cutAfter = Infinity } = {},
): typeof fetch {
  const reader = new UsageReader(callOf(format, { isUsageHidden, isUsageRequested }), {
    status: 200,
    headers: eventStream,
  });
  const parts: Buffer[] = [];
  for (const [index, event] of events.entries()) {
    if (index === cutAfter) parts.push(...reader.cut());
    parts.push(...reader.push(Buffer.from(sse([event]))));
  }
  parts.push(...reader.end());
  return () => Promise.resolve(new Response(Buffer.concat(parts), { headers: eventStream }));
}

function openAi(fetch: typeof globalThis.fetch): OpenAI {
  return new OpenAI({ apiKey: 'key', baseURL: 'http://127.0.0.1:9/v1', maxRetries: 0, fetch });
}

function anthropic(fetch: typeof globalThis.fetch): Anthropic {
  return new Anthropic({ apiKey: 'key', baseURL: 'http://127.0.0.1:9', maxRetries: 0, fetch });
}

async function chunksOf(fetch: typeof globalThis.fetch): Promise<unknown[]> {
  const stream = await openAi(fetch).chat.completions.create({ ...question, stream: true });
  const chunks: unknown[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

describe("OpenAI's SDK", () => {
  test('parses a stream with a hidden report exactly as a stream without a report', async () => {
    const seen = await chunksOf(through(chat, chatEvents(chatUsage), { isUsageHidden: true }));
    const expected = await chunksOf(through(chat, chatEvents(null)));
    expect(seen).toEqual(expected.map((chunk) => ({ ...(chunk as object), obfuscation: 'aB3' })));
  });

  test('ends a cut stream with the reason "length"', async () => {
    const chunks = await chunksOf(through(chat, chatEvents(null), { cutAfter: 3 }));
    expect(chunks).toHaveLength(4);
    expect(chunks.at(-1)).toMatchObject({ choices: [{ index: 0, finish_reason: 'length' }] });
  });

  test('assembles a cut completion, with usage if the client requested it', async () => {
    const fetch = through(chat, chatEvents(null), { cutAfter: 3, isUsageRequested: true });
    const completion = await openAi(fetch)
      .chat.completions.stream({ ...question, stream_options: { include_usage: true } })
      .finalChatCompletion();
    expect(completion.choices[0]).toMatchObject({
      finish_reason: 'length',
      message: { content: 'Hello wörld' },
    });
    expect(completion.usage).toMatchObject({ prompt_tokens: 500, completion_tokens: 4 });
  });

  test('assembles a cut response with the text that was delivered', async () => {
    const fetch = through(responses, responseEvents(), { cutAfter: 5 });
    const response = await openAi(fetch).responses.stream({ model: 'm', input: 'Hi' }).finalResponse();
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      output_text: 'Hello wörld',
    });
  });
});

describe("Anthropic's SDK", () => {
  const request = { model: 'm', max_tokens: 100, messages: [{ role: 'user' as const, content: 'Hi' }] };

  test('assembles a cut message, with its open block', async () => {
    const fetch = through(messages, messageEvents(), { cutAfter: 5 });
    const message = await anthropic(fetch).messages.stream(request).finalMessage();
    expect(message).toMatchObject({
      stop_reason: 'max_tokens',
      content: [{ type: 'text', text: 'Hello wörld' }],
      usage: { output_tokens: 4 },
    });
  });

  test('reports an error if the message was cut before it began', async () => {
    const fetch = through(messages, messageEvents(), { cutAfter: 0 });
    await expect(anthropic(fetch).messages.stream(request).finalMessage()).rejects.toThrow(
      /budget is exhausted/,
    );
  });
});
