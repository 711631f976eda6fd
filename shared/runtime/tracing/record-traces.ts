import type { TracedRecord } from './tracing.ts';

const attribute = Buffer.from('"traceparent":"');
const traceparentLength = 55;

/**
 * The `traceparent` that a record states: in a header, or as an attribute of a CloudEvent in JSON. The JSON is not
 * parsed, because a batch has thousands of records; inside a JSON text, the searched bytes cannot be part of a value,
 * where quotation marks are escaped. Null if there is none; the value is not validated.
 */
export function traceparentOf({ value, headers }: TracedRecord): string | null {
  const header = headers?.['traceparent'] ?? headers?.['ce_traceparent'];
  if (header !== undefined) return header;
  const at = value?.indexOf(attribute) ?? -1;
  if (value === null || at < 0) return null;
  const start = at + attribute.length;
  return value.toString('latin1', start, start + traceparentLength);
}
