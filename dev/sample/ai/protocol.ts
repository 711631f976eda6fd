import type { Generation, GenerationRequest } from './generation.ts';
import type { ReportedUsage, TokenUsage } from './token-usage.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** An event of a stream. `name` is null for events without a name. */
export interface StreamEvent {
  readonly name: string | null;
  readonly data: object | string;
}

/** Returns the usage to report, or undefined if the report is to be absent. A test can distort it. */
export type ReportUsage = (usage: TokenUsage) => ReportedUsage | null | undefined;

/** How one endpoint reads requests and writes answers. */
export interface Protocol {
  readonly endpoint: string;
  /** Throws `InvalidRequest`. */
  read(fields: Fields): GenerationRequest;
  /** Usage in the form of this protocol. */
  usage(usage: TokenUsage): ReportedUsage;
  /** The answer without a stream. */
  answer(generation: Generation, report: ReportUsage, fields: Fields): object;
  /** The events of a stream; null if the endpoint has none. */
  readonly stream: StreamProtocol | null;
  /** Headers in which the provider states the id of the call. */
  headers(id: string): Readonly<Record<string, string>>;
  error(status: number, message: string): object;
}

export interface StreamProtocol {
  opening(generation: Generation, report: ReportUsage): readonly StreamEvent[];
  /** `usage` is present if each token carries the usage so far. */
  token(
    generation: Generation,
    index: number,
    usage: TokenUsage | null,
    report: ReportUsage,
  ): readonly StreamEvent[];
  closing(generation: Generation, report: ReportUsage): readonly StreamEvent[];
  error(message: string): StreamEvent;
}

export class InvalidRequest extends Error {}

export function requiredText(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new InvalidRequest(`Missing required parameter: '${name}'.`);
}

/** Returns null if the field is absent or null. Throws `InvalidRequest` if it is no positive integer. */
export function positiveInteger(fields: Fields, name: string): number | null {
  const value = fields[name] ?? null;
  if (value === null) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  throw new InvalidRequest(`Invalid '${name}': expected a positive integer.`);
}

/** Returns a copy of `object` with the usage, or without the member if the report is to be absent. */
export function withUsage(object: object, usage: ReportedUsage | null | undefined): object {
  return usage === undefined ? object : { ...object, usage };
}

/** Returns all text in a prompt: strings, and the members `text` and `content` of objects, at every depth. */
export function promptText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(promptText).join('');
  if (typeof value !== 'object' || value === null) return '';
  const { text, content } = value as Fields;
  return promptText(text) + promptText(content);
}

/** Body of an OpenAI error. */
export function openAiError(status: number, message: string): object {
  const [type, code] = openAiErrors[status] ?? [
    status >= 500 ? 'server_error' : 'invalid_request_error',
    null,
  ];
  return { error: { message, type, param: null, code } };
}

const openAiErrors: Readonly<Record<number, readonly [type: string, code: string | null]>> = {
  401: ['invalid_request_error', 'invalid_api_key'],
  404: ['invalid_request_error', 'model_not_found'],
  429: ['requests', 'rate_limit_exceeded'],
};

export const openAiHeaders = (id: string): Readonly<Record<string, string>> => ({
  'x-request-id': `req_${id}`,
  'openai-version': '2020-10-01',
});
