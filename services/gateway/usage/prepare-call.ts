import type { ApiFormat, EstimateOptions, UsageFormat } from '../../../shared/domain/usage/format.ts';
import type { Measures } from '../../../shared/domain/usage/measures.ts';
import { decodeBody } from '../ingest/content-coding.ts';
import type { PreparedCall } from './prepared-call.ts';
import { contradictoryMember, notJson, unreadableLimit } from './request/call-violation.ts';
import type { CallViolation } from './request/call-violation.ts';
import { inputTokensOf, isTrue, outputTokensOf } from './request/estimate.ts';
import { includeUsage } from './request/include-usage.ts';
import { readPolicyCall } from './request/policy-call.ts';
import { RequestReading } from './request/request-reading.ts';

export type Preparation = { readonly call: PreparedCall } | { readonly violation: CallViolation };

export interface CallBody {
  readonly bytes: Buffer;
  /** The request's Content-Encoding, empty if it has none. */
  readonly coding: string;
  /** Most bytes of the decoded body. */
  readonly bytesMax: number;
}

const modelLengthMax = 256;

/**
 * Reads a request before it is forwarded: the model, the measures to reserve, and the body to forward. Where an upstream
 * could understand a request in more than one way, the most expensive one counts, or the request has a violation.
 */
export async function prepareCall(
  format: UsageFormat,
  { bytes, coding, bytesMax }: CallBody,
  options: EstimateOptions,
): Promise<Preparation> {
  const decoded = await decodeBody(coding, bytes, bytesMax);
  if ('detail' in decoded) {
    const code = decoded.status === 413 ? 'too_large' : 'unreadable_coding';
    return { violation: { code, message: decoded.detail } };
  }
  const { kind } = format;
  if (kind !== 'json' && kind !== 'header') return prepareApiCall(kind, bytes, decoded.body, options);
  const call = readPolicyCall(format, decoded.body, options, modelLengthMax);
  if ('code' in call) return { violation: call };
  const { bytesPerToken } = options;
  return { call: { format, ...call, bytesPerToken, body: bytes, ...unchanged } };
}

const unchanged = { isRewritten: false, isUsageHidden: false, isUsageRequested: false };

function prepareApiCall(
  kind: ApiFormat,
  bytes: Buffer,
  decoded: Buffer,
  options: EstimateOptions,
): Preparation {
  const reading = new RequestReading(decoded);
  const violation = reading.read() && reading.isObject ? violationOf(reading) : notJson();
  if (violation !== null) return { violation };
  const isStream = kind !== 'openai_embeddings' && reading.streams.some(isTrue);
  const call = {
    format: { kind },
    model: reading.models[0] ?? null,
    isStream,
    estimate: estimateOf(kind, reading, options),
    bytesPerToken: options.bytesPerToken,
  };
  const reportsOnRequest = kind === 'openai_chat' || kind === 'openai_completions';
  if (!isStream || !reportsOnRequest) return { call: { ...call, body: bytes, ...unchanged } };
  const { body, isAdded } = includeUsage(decoded, reading);
  return {
    call: {
      ...call,
      body: isAdded ? body : bytes,
      isRewritten: isAdded,
      isUsageHidden: isAdded,
      isUsageRequested: !isAdded,
    },
  };
}

/** A member that is repeated is no violation if every reading of it gives the same call. */
function violationOf({
  models,
  streams,
  streamOptions,
  hasUnreadableLimit,
}: RequestReading): CallViolation | null {
  if (new Set(models).size > 1) return contradictoryMember('model');
  const [model = null] = models;
  if (model === null || model === '' || model.length > modelLengthMax)
    return { code: 'no_model', message: `"model" must be a text of 1 to ${modelLengthMax} characters.` };
  if (new Set(streams).size > 1) return contradictoryMember('stream');
  if (streamOptions.length > 1) return contradictoryMember('stream_options');
  return hasUnreadableLimit ? unreadableLimit() : null;
}

function estimateOf(kind: ApiFormat, reading: RequestReading, options: EstimateOptions): Measures {
  const input = { input_tokens: inputTokensOf(reading, options) };
  if (kind === 'openai_embeddings') return input;
  const prompts = kind === 'openai_completions' ? Math.max(reading.prompts, 1) : 1;
  const output = outputTokensOf(reading, options.reserve['output_tokens'] ?? 0) * reading.factor * prompts;
  return { ...input, output_tokens: Math.min(output, Number.MAX_SAFE_INTEGER) };
}
