import { randomBytes } from 'node:crypto';
import type { Switches } from './switches.ts';
import type { TokenUsage } from './token-usage.ts';

/** What a request states, in the words of no protocol. */
export interface GenerationRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly inputTokens: number;
  /** Upper bound of the output tokens of one choice; null if the request states none. */
  readonly outputTokensMax: number | null;
  readonly choices: number;
  /** False if a stream of this protocol reports its usage only on request, and this request does not. */
  readonly streamReportsUsage: boolean;
}

/** The answer to a request. Everything but its id and its time depends on the request only. */
export interface Generation extends GenerationRequest {
  readonly id: string;
  readonly createdSeconds: number;
  /** Visible tokens of each choice. Infinite if the stream never ends. */
  readonly visibleTokens: number;
  /** True if the output ended at the bound of the request. */
  readonly truncated: boolean;
  readonly usage: TokenUsage;
}

const outputTokensDefault = 24;

/** A test can require more tokens than the request allows only by an endless stream: a model obeys its bound. */
export function generate(request: GenerationRequest, switches: Switches): Generation {
  const { choices, outputTokensMax } = request;
  const wanted = switches.tokens ?? outputTokensDefault + switches.reasoning;
  const outputTokens = Math.min(wanted, outputTokensMax ?? wanted);
  const reasoningTokens = Math.min(switches.reasoning, outputTokens);
  const inputTokens = switches.input ?? request.inputTokens;
  return {
    ...request,
    id: randomBytes(12).toString('hex'),
    createdSeconds: Math.floor(Date.now() / 1000),
    visibleTokens: switches.endless ? Number.POSITIVE_INFINITY : outputTokens - reasoningTokens,
    truncated: outputTokens < wanted,
    usage: {
      inputTokens,
      cachedTokens: Math.min(switches.cached, inputTokens),
      cacheWriteTokens: Math.min(switches.cacheWrite, inputTokens),
      outputTokens: outputTokens * choices,
      reasoningTokens: reasoningTokens * choices,
    },
  };
}

/** The usage after the first `tokens` visible tokens of each choice. */
export function usageAfter({ usage, choices }: Generation, tokens: number): TokenUsage {
  return { ...usage, outputTokens: usage.reasoningTokens + tokens * choices };
}

const words = [
  'Usage',
  'is',
  'metered',
  'per',
  'token',
  '–',
  'naïve',
  '計量',
  '🙂',
  'counts',
  'end.',
] as const;

/** The text of one token. Some tokens have several bytes per character, as in real answers. */
export function tokenText(index: number): string {
  return `${index === 0 ? '' : ' '}${words[index % words.length] ?? ''}`;
}

export function visibleText({ visibleTokens }: Generation): string {
  return Array.from({ length: visibleTokens }, (_, index) => tokenText(index)).join('');
}

/** About the rule of thumb of tokenizers for English: four bytes a token. */
export function textTokens(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}
