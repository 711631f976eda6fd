import type { EstimateOptions, UsageFormat } from '../../../../shared/domain/usage/format.ts';
import type { Measures } from '../../../../shared/domain/usage/measures.ts';
import { contradictoryMember, notJson, unreadableLimit } from './call-violation.ts';
import type { CallViolation } from './call-violation.ts';
import { inputTokensOf, isTrue, outputTokensOf } from './estimate.ts';
import { stringsAt } from './json-value.ts';
import { RequestReading } from './request-reading.ts';

type PolicyFormat = Extract<UsageFormat, { kind: 'json' | 'header' }>;

export interface PolicyCall {
  readonly model: string | null;
  readonly isStream: boolean;
  readonly estimate: Measures;
}

/**
 * Reads a request of a format that the policy defines. The body may have any form if the format has no model. The
 * policy's measures are reserved, and tokens of input and output are estimated if the format has them.
 */
export function readPolicyCall(
  format: PolicyFormat,
  body: Buffer,
  options: EstimateOptions,
  modelBytesMax: number,
): PolicyCall | CallViolation {
  const model = modelAt(format.requestModel, body, modelBytesMax);
  if (model !== null && typeof model !== 'string') return model;
  const reading = new RequestReading(body);
  const isJson = reading.read();
  if (isJson && reading.hasUnreadableLimit) return unreadableLimit();
  const { reserve, bytesPerToken } = options;
  const estimate: Record<string, number> = { ...reserve };
  if (Object.hasOwn(format.measures, 'input_tokens')) {
    estimate['input_tokens'] ??= isJson
      ? inputTokensOf(reading, options)
      : Math.ceil(body.length / bytesPerToken);
  }
  if (Object.hasOwn(format.measures, 'output_tokens') && isJson)
    estimate['output_tokens'] = outputTokensOf(reading, reserve['output_tokens'] ?? 0);
  const measures = Object.entries(estimate).filter(([name]) => Object.hasOwn(format.measures, name));
  return { model, isStream: isJson && reading.streams.some(isTrue), estimate: Object.fromEntries(measures) };
}

function modelAt(pointer: string | null, body: Buffer, bytesMax: number): string | null | CallViolation {
  if (pointer === null) return null;
  // One character of JSON text has at most 6 bytes.
  const models = stringsAt(pointer, body, 6 * bytesMax);
  if (models === null) return notJson();
  const [model = ''] = models;
  if (model === '' || model.length > bytesMax)
    return { code: 'no_model', message: `The request has no model at "${pointer}".` };
  return new Set(models).size > 1 ? contradictoryMember(pointer) : model;
}
