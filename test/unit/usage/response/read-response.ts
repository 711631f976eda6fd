import { estimateDefaults } from '../../../../shared/domain/usage/format.ts';
import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import type { CallUsage } from '../../../../services/gateway/usage/call-usage.ts';
import type { PreparedCall } from '../../../../services/gateway/usage/prepared-call.ts';
import { UsageReader } from '../../../../services/gateway/usage/usage-reader.ts';

export const eventStream = { 'content-type': 'text/event-stream; charset=utf-8' };
export const jsonBody = { 'content-type': 'application/json' };

export function callOf(format: UsageFormat, changes: Partial<PreparedCall> = {}): PreparedCall {
  return {
    format,
    model: 'requested-model',
    isStream: true,
    estimate: { input_tokens: 500, output_tokens: 1_000 },
    bytesPerToken: estimateDefaults.bytesPerToken,
    body: Buffer.alloc(0),
    isRewritten: false,
    isUsageHidden: false,
    isUsageRequested: false,
    ...changes,
  };
}

export interface ReadResponse {
  readonly usage: CallUsage;
  readonly forwarded: string;
}

/** Reads a response of which all chunks arrive; with `isAborted` it has no end. */
export async function readResponse(
  call: PreparedCall,
  headers: Readonly<Record<string, string>>,
  chunks: readonly Buffer[],
  { status = 200, isAborted = false } = {},
): Promise<ReadResponse> {
  const reader = new UsageReader(call, { status, headers });
  const forwarded: Buffer[] = [];
  for (const chunk of chunks) {
    forwarded.push(...reader.push(chunk));
    await reader.ready();
  }
  if (!isAborted) forwarded.push(...reader.end());
  return { usage: await reader.usage(), forwarded: Buffer.concat(forwarded).toString() };
}

export function readText(
  format: UsageFormat,
  headers: Readonly<Record<string, string>>,
  text: string,
  options: { status?: number; isAborted?: boolean } = {},
): Promise<ReadResponse> {
  return readResponse(callOf(format), headers, [Buffer.from(text)], options);
}
