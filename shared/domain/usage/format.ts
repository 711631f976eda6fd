import type { Measures } from './measures.ts';

/** Formats of APIs whose requests and reports of usage Tollgate reads without further settings. */
export const apiFormats = [
  'openai_chat',
  'openai_completions',
  'openai_responses',
  'openai_embeddings',
  'anthropic_messages',
] as const;

export type ApiFormat = (typeof apiFormats)[number];

/** How the usage of a call is read from the upstream's response. */
export type UsageFormat =
  | { readonly kind: ApiFormat }
  | {
      /** JSON, or events with JSON (`text/event-stream`), from which JSON pointers (RFC 6901) select the usage. */
      readonly kind: 'json';
      /** The pointers of each measure. The numbers that several pointers select are added. */
      readonly measures: Readonly<Record<string, readonly string[]>>;
      /** Pointer to the name of the model in the request; null if requests name no model. */
      readonly requestModel: string | null;
      /** Pointer to the name of the model in the response; null if responses name no model. */
      readonly responseModel: string | null;
    }
  | {
      /** Header fields or trailer fields of the response. */
      readonly kind: 'header';
      /** The field of each measure, in lower case. */
      readonly measures: Readonly<Record<string, string>>;
      readonly requestModel: string | null;
    };

/** Kinds of content whose tokens cannot be estimated from the bytes of a request. */
export const contentParts = ['image', 'audio', 'file', 'stored_context'] as const;

export type ContentPart = (typeof contentParts)[number];

/** Settings of the policy for the estimate of a call before it is made. */
export interface EstimateOptions {
  /** Bytes of text per token. 1 is an upper bound for every tokenizer that works on bytes. */
  readonly bytesPerToken: number;
  /**
   * Measures of a call that does not limit them itself. `output_tokens` are reserved if the request has no limit of the
   * output.
   */
  readonly reserve: Measures;
  /** Tokens of input for each part. `stored_context` is what the upstream stored, for example a previous response. */
  readonly partTokens: Readonly<Record<ContentPart, number>>;
}

export const estimateDefaults: EstimateOptions = {
  bytesPerToken: 3,
  reserve: { output_tokens: 4_096 },
  partTokens: { image: 1_600, audio: 2_000, file: 10_000, stored_context: 8_000 },
};

const jsonPointer = /^(\/([^~/]|~[01])*)*$/;

export function isJsonPointer(text: string): boolean {
  return jsonPointer.test(text);
}

/** The reference tokens of a JSON pointer (RFC 6901, 4), unescaped. */
export function pointerTokens(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}
