import type { CreateEmbeddingResponse } from 'openai/resources/embeddings';
import { textTokens } from './generation.ts';
import { InvalidRequest, openAiError, openAiHeaders, positiveInteger, requiredText } from './protocol.ts';
import type { Fields, Protocol } from './protocol.ts';

const dimensionsDefault = 16;

export const embeddings: Protocol = {
  endpoint: '/v1/embeddings',
  read: (fields) => ({
    model: requiredText(fields, 'model'),
    stream: false,
    inputTokens: inputsOf(fields).reduce((sum: number, input) => sum + tokensOf(input), 0),
    // An embedding has no output tokens.
    outputTokensMax: 0,
    choices: 1,
    streamReportsUsage: false,
  }),
  usage: ({ inputTokens }) =>
    ({ prompt_tokens: inputTokens, total_tokens: inputTokens }) satisfies CreateEmbeddingResponse.Usage,
  answer: ({ model, usage }, report, fields) => {
    const dimensions = positiveInteger(fields, 'dimensions') ?? dimensionsDefault;
    const encode = fields['encoding_format'] === 'base64' ? toBase64 : (vector: number[]): number[] => vector;
    return {
      object: 'list',
      data: inputsOf(fields).map((input, index) => ({
        object: 'embedding',
        index,
        embedding: encode(vectorOf(tokensOf(input), dimensions)),
      })),
      model,
      usage: report(usage),
    };
  },
  stream: null,
  headers: openAiHeaders,
  error: openAiError,
};

/** One text, an array of texts, one array of token numbers, or an array of these. */
function inputsOf({ input }: Fields): readonly unknown[] {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input) || input.length === 0)
    throw new InvalidRequest("Missing required parameter: 'input'.");
  return typeof input[0] === 'number' ? [input] : input;
}

function tokensOf(input: unknown): number {
  if (typeof input === 'string') return textTokens(input);
  if (Array.isArray(input)) return input.length;
  throw new InvalidRequest("Invalid 'input': expected texts or arrays of tokens.");
}

/** A unit vector that depends on the number of tokens. */
function vectorOf(tokens: number, dimensions: number): number[] {
  const vector = Array.from({ length: dimensions }, (_, index) => Math.sin(tokens + index + 1));
  const norm = Math.hypot(...vector);
  return vector.map((value) => Math.fround(value / norm));
}

function toBase64(vector: readonly number[]): string {
  return Buffer.from(new Float32Array(vector).buffer).toString('base64');
}
