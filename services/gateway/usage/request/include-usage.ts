import type { RequestReading } from './request-reading.ts';

const option = '"include_usage":true';

/** How a stream comes to report its usage. */
export interface UsageRequest {
  readonly body: Buffer;
  /** The request was edited, because the client did not request the report. */
  readonly isAdded: boolean;
}

/**
 * Requests the report of usage in a stream of OpenAI's format by the smallest edit of the body. All other bytes stay as
 * they are, so that numbers, escapes and the order of members reach the upstream unchanged.
 */
export function includeUsage(body: Buffer, reading: RequestReading): UsageRequest {
  const options = reading.streamOptions[0];
  if (options === undefined) {
    const member = `,"stream_options":{${option}}`;
    return { body: replace(body, reading.objectEnd, reading.objectEnd, member), isAdded: true };
  }
  if (!options.isObject) {
    return { body: replace(body, options.start, options.end, `{${option}}`), isAdded: true };
  }
  const value = options.includeUsage;
  if (value === null) {
    const inside = options.start + 1;
    return {
      body: replace(body, inside, inside, options.hasMembers ? `${option},` : option),
      isAdded: true,
    };
  }
  if (value.text !== 'false' && value.text !== 'null') return { body, isAdded: false };
  return { body: replace(body, value.start, value.end, 'true'), isAdded: true };
}

function replace(body: Buffer, start: number, end: number, text: string): Buffer {
  return Buffer.concat([body.subarray(0, start), Buffer.from(text), body.subarray(end)]);
}
