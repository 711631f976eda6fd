import { spanMs } from '../admin/installation.ts';

/**
 * When a span of a form (`7d` from now on) ends; null for an empty one, which means for good. Any other text is answered
 * as it is: where a time is expected it is refused, and never taken for an empty field.
 */
export function spanEnd(form: URLSearchParams, nowMs: number): string | null {
  const text = (form.get('for') ?? '').trim();
  if (text === '') return null;
  return /^[1-9][0-9]{0,5}[smhd]$/.test(text) ? new Date(nowMs + spanMs(text)).toISOString() : text;
}
