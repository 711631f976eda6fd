import type {
  Message,
  MessageDeltaUsage,
  RawMessageStreamEvent,
  Usage,
} from '@anthropic-ai/sdk/resources/messages';
import { textTokens, tokenText, visibleText } from './generation.ts';
import type { Generation } from './generation.ts';
import { InvalidRequest, positiveInteger, promptText, requiredText, withUsage } from './protocol.ts';
import type { Protocol, StreamEvent } from './protocol.ts';
import type { ReportedUsage, TokenUsage } from './token-usage.ts';

/** A stream sends a ping before its first token and then before each token of this distance. */
const pingDistance = 10;

/** Anthropic's Messages API. Its input tokens are those outside of the cache; cached ones are counted separately. */
export const messages: Protocol = {
  endpoint: '/v1/messages',
  read: (fields) => {
    const { messages: prompt, system } = fields;
    if (!Array.isArray(prompt) || prompt.length === 0)
      throw new InvalidRequest('messages: at least one message is required');
    const outputTokensMax = positiveInteger(fields, 'max_tokens');
    if (outputTokensMax === null) throw new InvalidRequest('max_tokens: Field required');
    return {
      model: requiredText(fields, 'model'),
      stream: fields['stream'] === true,
      inputTokens: textTokens(promptText(prompt) + promptText(system)) + prompt.length * 4 + 3,
      outputTokensMax,
      choices: 1,
      streamReportsUsage: true,
    };
  },
  usage: usageOf,
  answer: (generation, report) =>
    withUsage(
      messageOf(generation, {
        content: [{ type: 'text', text: visibleText(generation), citations: null }],
        stop_reason: stopReason(generation),
      }),
      report(generation.usage),
    ),
  stream: {
    opening: (generation, report) => {
      const message = withUsage(
        messageOf(generation, { content: [], stop_reason: null }),
        report({ ...generation.usage, outputTokens: 1, reasoningTokens: 0 }),
      );
      return [
        { name: 'message_start', data: { type: 'message_start', message } },
        event({
          type: 'content_block_start',
          index: 0,
          content_block: { type: 'text', text: '', citations: null },
        }),
      ];
    },
    token: (_generation, index) => [
      ...(index % pingDistance === 0 ? [{ name: 'ping', data: { type: 'ping' } }] : []),
      event({
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'text_delta', text: tokenText(index) },
      }),
    ],
    closing: (generation, report) => [
      event({ type: 'content_block_stop', index: 0 }),
      { name: 'message_delta', data: messageDelta(generation, report(generation.usage)) },
      event({ type: 'message_stop' }),
    ],
    error: (message) => ({ name: 'error', data: errorOf(500, message) }),
  },
  headers: (id) => ({ 'request-id': `req_${id}` }),
  error: errorOf,
};

function usageOf(usage: TokenUsage): ReportedUsage {
  const { inputTokens, cachedTokens, cacheWriteTokens, outputTokens, reasoningTokens } = usage;
  return {
    input_tokens: Math.max(inputTokens - cachedTokens - cacheWriteTokens, 0),
    cache_creation_input_tokens: cacheWriteTokens,
    cache_read_input_tokens: cachedTokens,
    cache_creation: { ephemeral_5m_input_tokens: cacheWriteTokens, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens,
    output_tokens_details: { thinking_tokens: reasoningTokens },
    inference_geo: null,
    server_tool_use: null,
    service_tier: 'standard',
    speed: 'standard',
  } satisfies Usage & ReportedUsage;
}

function messageOf(
  { id, model }: Generation,
  ending: Pick<Message, 'content' | 'stop_reason'>,
): Omit<Message, 'usage'> {
  return {
    id: `msg_${id}`,
    type: 'message',
    role: 'assistant',
    model,
    container: null,
    diagnostics: null,
    stop_details: null,
    stop_sequence: null,
    ...ending,
  };
}

function messageDelta(generation: Generation, usage: ReportedUsage | null | undefined): object {
  const delta = {
    container: null,
    stop_details: null,
    stop_reason: stopReason(generation),
    stop_sequence: null,
  };
  return withUsage({ type: 'message_delta', delta }, usage && deltaUsage(usage));
}

/** The last event of a stream has the counts only. They are cumulative. */
function deltaUsage(usage: ReportedUsage): ReportedUsage {
  const names: readonly (keyof MessageDeltaUsage)[] = [
    'input_tokens',
    'cache_creation_input_tokens',
    'cache_read_input_tokens',
    'output_tokens',
    'output_tokens_details',
    'server_tool_use',
  ];
  return Object.fromEntries(names.map((name) => [name, usage[name] ?? null]));
}

function stopReason({ truncated }: Generation): 'max_tokens' | 'end_turn' {
  return truncated ? 'max_tokens' : 'end_turn';
}

function event(data: RawMessageStreamEvent): StreamEvent {
  return { name: data.type, data };
}

function errorOf(status: number, message: string): object {
  const type = errorTypes[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error');
  return { type: 'error', error: { type, message }, request_id: null };
}

const errorTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
};
