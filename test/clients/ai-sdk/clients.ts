import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { uniqueName } from '../../support/servers.ts';

/** Where the SDKs send their calls: the sample API itself, or a gateway before it. */
export interface Target {
  readonly url: string;
  readonly credential: string;
}

export interface SdkOptions {
  readonly maxRetries?: number;
  /** Called before each try. */
  readonly onTry?: () => void;
}

export function openAi({ url, credential }: Target, options: SdkOptions = {}): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: credential, ...transportOf(options) });
}

/** The credential is sent as a bearer token, as Anthropic's SDK does for `authToken`. */
export function anthropic({ url, credential }: Target, options: SdkOptions = {}): Anthropic {
  return new Anthropic({ baseURL: url, apiKey: null, authToken: credential, ...transportOf(options) });
}

function transportOf({ maxRetries = 0, onTry }: SdkOptions): { maxRetries: number; fetch: typeof fetch } {
  return {
    maxRetries,
    fetch: (input, init) => {
      onTry?.();
      return fetch(input, init);
    },
  };
}

/** Tokens as an SDK reports them to the application. */
export interface SeenUsage {
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly reasoning: number;
}

/** What an application gets from one call. */
export interface Seen {
  readonly id: string;
  readonly text: string;
  readonly end: string | null;
  readonly usage: SeenUsage | null;
}

export interface CallSettings extends SdkOptions {
  readonly model: string;
  /** Value of `x-sample`. */
  readonly switches?: string;
  readonly maxTokens?: number;
}

/** One of the APIs with a text as its answer, used through its official SDK. */
export interface TextApi {
  readonly name: string;
  readonly endpoint: string;
  readonly complete: (target: Target, settings: CallSettings) => Promise<Seen>;
  /** Reads the whole stream. */
  readonly stream: (target: Target, settings: CallSettings) => Promise<Seen>;
  /** Stops to read after `tokens` texts, as an application does with `break`. */
  readonly leave: (target: Target, settings: CallSettings, tokens: number) => Promise<string>;
}

const prompt = 'How are tokens counted?';
const maxTokensDefault = 500;
const byName = (switches: string | undefined): { headers: Record<string, string> } => ({
  headers: switches === undefined ? {} : { 'x-sample': switches },
});

export const textApis: readonly TextApi[] = [
  {
    name: 'OpenAI chat completions',
    endpoint: '/v1/chat/completions',
    complete: async (target, { model, switches, maxTokens = maxTokensDefault, ...options }) =>
      seenCompletion(
        await openAi(target, options).chat.completions.create(chat(model, maxTokens), byName(switches)),
      ),
    stream: async (target, { model, switches, maxTokens = maxTokensDefault, ...options }) =>
      seenCompletion(
        await openAi(target, options)
          .chat.completions.stream(
            { ...chat(model, maxTokens), stream_options: { include_usage: true } },
            byName(switches),
          )
          .finalChatCompletion(),
      ),
    leave: async (target, { model, switches, maxTokens = maxTokensDefault }, tokens) => {
      const stream = await openAi(target).chat.completions.create(
        { ...chat(model, maxTokens), stream: true },
        byName(switches),
      );
      return readTexts(stream, (event) => event.choices[0]?.delta.content ?? '', tokens);
    },
  },
  {
    name: 'OpenAI responses',
    endpoint: '/v1/responses',
    complete: async (target, { model, switches, maxTokens = maxTokensDefault, ...options }) =>
      seenResponse(
        await openAi(target, options).responses.create(
          { model, input: prompt, max_output_tokens: maxTokens },
          byName(switches),
        ),
      ),
    stream: async (target, { model, switches, maxTokens = maxTokensDefault, ...options }) =>
      seenResponse(
        await openAi(target, options)
          .responses.stream({ model, input: prompt, max_output_tokens: maxTokens }, byName(switches))
          .finalResponse(),
      ),
    leave: async (target, { model, switches, maxTokens = maxTokensDefault }, tokens) => {
      const stream = await openAi(target).responses.create(
        { model, input: prompt, max_output_tokens: maxTokens, stream: true },
        byName(switches),
      );
      return readTexts(
        stream,
        (event) => (event.type === 'response.output_text.delta' ? event.delta : ''),
        tokens,
      );
    },
  },
  {
    name: 'Anthropic messages',
    endpoint: '/v1/messages',
    complete: async (target, { model, switches, maxTokens = maxTokensDefault, ...options }) =>
      seenMessage(
        await anthropic(target, options).messages.create(message(model, maxTokens), byName(switches)),
      ),
    stream: async (target, { model, switches, maxTokens = maxTokensDefault, ...options }) =>
      seenMessage(
        await anthropic(target, options)
          .messages.stream(message(model, maxTokens), byName(switches))
          .finalMessage(),
      ),
    leave: async (target, { model, switches, maxTokens = maxTokensDefault }, tokens) => {
      const stream = await anthropic(target).messages.create(
        { ...message(model, maxTokens), stream: true },
        byName(switches),
      );
      return readTexts(
        stream,
        (event) =>
          event.type === 'content_block_delta' && event.delta.type === 'text_delta' ? event.delta.text : '',
        tokens,
      );
    },
  },
];

/** A model that no other test uses, so that its calls can be found in the journal. */
export function uniqueModel(): string {
  return uniqueName('gpt-4o-mini');
}

function chat(model: string, maxTokens: number) {
  return {
    model,
    messages: [{ role: 'user' as const, content: prompt }],
    max_completion_tokens: maxTokens,
  };
}

function message(model: string, maxTokens: number) {
  return { model, messages: [{ role: 'user' as const, content: prompt }], max_tokens: maxTokens };
}

async function readTexts<Event>(
  stream: AsyncIterable<Event>,
  textOf: (event: Event) => string,
  tokens: number,
): Promise<string> {
  let text = '';
  let seen = 0;
  for await (const event of stream) {
    const piece = textOf(event);
    if (piece === '') continue;
    text += piece;
    if (++seen === tokens) break;
  }
  return text;
}

function seenCompletion({ id, choices, usage }: OpenAI.ChatCompletion): Seen {
  return {
    id,
    text: choices.map((choice) => choice.message.content).join('\n'),
    end: choices[0]?.finish_reason ?? null,
    usage:
      usage === undefined
        ? null
        : {
            input: usage.prompt_tokens,
            cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
            output: usage.completion_tokens,
            reasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
          },
  };
}

function seenResponse({ id, output_text: text, status, usage }: OpenAI.Responses.Response): Seen {
  return {
    id,
    text,
    end: status ?? null,
    usage:
      usage === undefined
        ? null
        : {
            input: usage.input_tokens,
            cached: usage.input_tokens_details.cached_tokens,
            output: usage.output_tokens,
            reasoning: usage.output_tokens_details.reasoning_tokens,
          },
  };
}

function seenMessage({ id, content, stop_reason: end, usage }: Anthropic.Message): Seen {
  const cached = usage.cache_read_input_tokens ?? 0;
  return {
    id,
    text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
    end,
    usage: {
      input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
      cached,
      output: usage.output_tokens,
      reasoning: usage.output_tokens_details?.thinking_tokens ?? 0,
    },
  };
}
