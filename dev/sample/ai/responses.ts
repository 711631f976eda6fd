import type {
  Response,
  ResponseOutputMessage,
  ResponseOutputText,
  ResponseStreamEvent,
  ResponseUsage,
} from 'openai/resources/responses/responses';
import { textTokens, tokenText, visibleText } from './generation.ts';
import type { Generation } from './generation.ts';
import {
  InvalidRequest,
  openAiError,
  openAiHeaders,
  positiveInteger,
  promptText,
  requiredText,
  withUsage,
} from './protocol.ts';
import type { Protocol, StreamEvent } from './protocol.ts';

type Unnumbered<Event> = Event extends unknown ? Omit<Event, 'sequence_number'> : never;

const openingEvents = 4;

export const responses: Protocol = {
  endpoint: '/v1/responses',
  read: (fields) => {
    const { input } = fields;
    if (typeof input !== 'string' && !Array.isArray(input))
      throw new InvalidRequest("Missing required parameter: 'input'.");
    return {
      model: requiredText(fields, 'model'),
      stream: fields['stream'] === true,
      inputTokens: textTokens(promptText(input) + promptText(fields['instructions'])) + 3,
      outputTokensMax: positiveInteger(fields, 'max_output_tokens'),
      choices: 1,
      streamReportsUsage: true,
    };
  },
  usage: (usage) =>
    ({
      input_tokens: usage.inputTokens,
      input_tokens_details: {
        cached_tokens: usage.cachedTokens,
        cache_write_tokens: usage.cacheWriteTokens,
      },
      output_tokens: usage.outputTokens,
      output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
      total_tokens: usage.inputTokens + usage.outputTokens,
    }) satisfies ResponseUsage,
  answer: (generation, report) =>
    withUsage(responseOf(generation, finalStatus(generation)), report(generation.usage)),
  stream: {
    opening: (generation) => {
      const response = responseOf(generation, 'in_progress') as Response;
      return [
        event(0, { type: 'response.created', response }),
        event(1, { type: 'response.in_progress', response }),
        event(2, {
          type: 'response.output_item.added',
          output_index: 0,
          item: messageOf(generation, 'in_progress', []),
        }),
        event(3, { type: 'response.content_part.added', ...place(generation), part: textPart('') }),
      ];
    },
    token: (generation, index) => [
      event(openingEvents + index, {
        type: 'response.output_text.delta',
        ...place(generation),
        delta: tokenText(index),
        logprobs: [],
      }),
    ],
    closing: (generation, report) => {
      const status = finalStatus(generation);
      const part = textPart(visibleText(generation));
      const first = openingEvents + generation.visibleTokens;
      const response = withUsage(responseOf(generation, status), report(generation.usage)) as Response;
      return [
        event(first, {
          type: 'response.output_text.done',
          ...place(generation),
          text: part.text,
          logprobs: [],
        }),
        event(first + 1, { type: 'response.content_part.done', ...place(generation), part }),
        event(first + 2, {
          type: 'response.output_item.done',
          output_index: 0,
          item: messageOf(generation, status, [part]),
        }),
        event(first + 3, {
          type: status === 'completed' ? 'response.completed' : 'response.incomplete',
          response,
        }),
      ];
    },
    error: (message) => event(openingEvents, { type: 'error', code: 'server_error', message, param: null }),
  },
  headers: openAiHeaders,
  error: openAiError,
};

function event(number: number, data: Unnumbered<ResponseStreamEvent>): StreamEvent {
  return { name: data.type, data: { ...data, sequence_number: number } };
}

function place({ id }: Generation) {
  return { item_id: `msg_${id}`, output_index: 0, content_index: 0 } as const;
}

function finalStatus({ truncated }: Generation): 'completed' | 'incomplete' {
  return truncated ? 'incomplete' : 'completed';
}

/** A response as it is sent. The SDK computes the member `output_text` itself. */
function responseOf(
  generation: Generation,
  status: 'in_progress' | 'completed' | 'incomplete',
): Omit<Response, 'output_text'> {
  const { id, model, createdSeconds, outputTokensMax } = generation;
  const ended = status !== 'in_progress';
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: createdSeconds,
    status,
    access_programs: null,
    background: false,
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    instructions: null,
    max_output_tokens: outputTokensMax,
    metadata: {},
    model,
    output: ended ? [messageOf(generation, status, [textPart(visibleText(generation))])] : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    service_tier: 'default',
    temperature: 1,
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
  };
}

function messageOf(
  { id }: Generation,
  status: ResponseOutputMessage['status'],
  content: ResponseOutputText[],
): ResponseOutputMessage {
  return { id: `msg_${id}`, type: 'message', role: 'assistant', status, content };
}

function textPart(text: string): ResponseOutputText {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}
