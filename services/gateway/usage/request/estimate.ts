import type { EstimateOptions } from '../../../../shared/domain/usage/format.ts';
import type { RequestReading } from './request-reading.ts';

/** Tokens of the input: its text, the numbers that are tokens, and an allowance for each other part. */
export function inputTokensOf(
  { textBytes, media, tokenIds }: RequestReading,
  { bytesPerToken, partTokens }: EstimateOptions,
): number {
  return Math.ceil((textBytes + media.textBytes) / bytesPerToken) + tokenIds + media.tokens(partTokens);
}

/**
 * Tokens of output that one choice may have: the largest limit that the request has under any name. Without a limit, or
 * if a server may ignore it, at least what the policy reserves.
 */
export function outputTokensOf({ limit, isUnlimited }: RequestReading, reserved: number): number {
  if (limit === null) return reserved;
  return isUnlimited ? Math.max(limit, reserved) : limit;
}

/** Whether a server may read a value of `stream` as true. */
export function isTrue(text: string): boolean {
  return !['false', 'null', '0', ''].includes(text.toLowerCase());
}
