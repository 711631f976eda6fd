import type { ChatCompletion, ChatCompletionChunk } from 'openai/resources/chat/completions';
import type { CompletionUsage } from 'openai/resources/completions';
import { textTokens, tokenText, visibleText } from './generation.ts';
import type { Generation, GenerationRequest } from './generation.ts';
import {
  InvalidRequest,
  openAiError,
  openAiHeaders,
  positiveInteger,
  promptText,
  requiredText,
  withUsage,
} from './protocol.ts';
import type { Fields, Protocol, ReportUsage, StreamEvent } from './protocol.ts';
import type { ReportedUsage, TokenUsage } from './token-usage.ts';

const choicesMax = 128;
/** Tokens that the format of chats adds to each message, and to the whole prompt. */
const messageTokens = 4;
const promptTokens = 3;

export const chatCompletions: Protocol = {
  endpoint: '/v1/chat/completions',
  read: readRequest,
  usage: usageOf,
  answer: (generation, report) =>
    withUsage(
      {
        ...identityOf(generation),
        object: 'chat.completion',
        choices: eachChoice(generation, (index) => ({
          index,
          message: { role: 'assistant', content: visibleText(generation), refusal: null, annotations: [] },
          logprobs: null,
          finish_reason: generation.truncated ? 'length' : 'stop',
        })),
      } satisfies ChatCompletion,
      report(generation.usage),
    ),
  stream: {
    opening: (generation, report) =>
      eachChoice(generation, (index) =>
        chunk(generation, index, { role: 'assistant', content: '', refusal: null }, null, report),
      ),
    token: (generation, token, usage, report) =>
      eachChoice(generation, (index) =>
        chunk(generation, index, { content: tokenText(token) }, null, report, usage),
      ),
    closing: (generation, report) => [
      ...eachChoice(generation, (index) =>
        chunk(generation, index, {}, generation.truncated ? 'length' : 'stop', report),
      ),
      ...usageChunks(generation, report),
      { name: null, data: '[DONE]' },
    ],
    error: (message) => ({ name: null, data: openAiError(500, message) }),
  },
  headers: openAiHeaders,
  error: openAiError,
};

function readRequest(fields: Fields): GenerationRequest {
  const model = requiredText(fields, 'model');
  const { messages, stream_options: options } = fields;
  if (!Array.isArray(messages) || messages.length === 0)
    throw new InvalidRequest("Missing required parameter: 'messages'.");
  // If both bounds are present, the larger one counts. A gateway that believes the smaller one charges too little.
  const bounds = [positiveInteger(fields, 'max_tokens'), positiveInteger(fields, 'max_completion_tokens')];
  const stated = bounds.filter((bound) => bound !== null);
  const choices = positiveInteger(fields, 'n') ?? 1;
  if (choices > choicesMax) throw new InvalidRequest(`Invalid 'n': at most ${choicesMax}.`);
  return {
    model,
    stream: fields['stream'] === true,
    inputTokens: textTokens(promptText(messages)) + messages.length * messageTokens + promptTokens,
    outputTokensMax: stated.length === 0 ? null : Math.max(...stated),
    choices,
    streamReportsUsage: (options as Fields | null | undefined)?.['include_usage'] === true,
  };
}

function usageOf(usage: TokenUsage): ReportedUsage {
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: {
      cached_tokens: usage.cachedTokens,
      cache_write_tokens: usage.cacheWriteTokens,
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  } satisfies CompletionUsage & ReportedUsage;
}

function identityOf({ id, model, createdSeconds }: Generation) {
  return {
    id: `chatcmpl-${id}`,
    created: createdSeconds,
    model,
    service_tier: 'default',
    system_fingerprint: 'fp_sample',
  } as const;
}

function eachChoice<Value>({ choices }: Generation, create: (index: number) => Value): Value[] {
  return Array.from({ length: choices }, (_, index) => create(index));
}

function chunk(
  generation: Generation,
  index: number,
  delta: ChatCompletionChunk.Choice.Delta,
  finishReason: 'stop' | 'length' | null,
  report: ReportUsage,
  usage: TokenUsage | null = null,
): StreamEvent {
  const data = {
    ...identityOf(generation),
    object: 'chat.completion.chunk',
    choices: [{ index, delta, logprobs: null, finish_reason: finishReason }],
  } satisfies ChatCompletionChunk;
  // Chunks before the last one have the usage null if the request requires usage.
  const reported = usage === null ? (generation.streamReportsUsage ? null : undefined) : report(usage);
  return { name: null, data: withUsage(data, reported) };
}

function usageChunks(generation: Generation, report: ReportUsage): readonly StreamEvent[] {
  if (!generation.streamReportsUsage) return [];
  const data = {
    ...identityOf(generation),
    object: 'chat.completion.chunk',
    choices: [],
  } satisfies ChatCompletionChunk;
  const usage = report(generation.usage);
  return usage === undefined ? [] : [{ name: null, data: { ...data, usage } }];
}
