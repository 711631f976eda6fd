/**
 * Control characters (C0, C1), those that change the direction of text, separators of lines, and halves of characters. In
 * a terminal they move the cursor, hide or rewrite what stands there, or make text look like other text.
 */
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/** Text of others on one line: what a terminal would act upon is shown as `\u001b`. */
export function printable(text: string): string {
  return text.replace(
    unprintable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** An answer with all of its texts printable: whatever a command writes of it is safe to show. */
export function printableAnswer(answer: unknown): unknown {
  if (typeof answer === 'string') return printable(answer);
  if (Array.isArray(answer)) return answer.map(printableAnswer);
  if (typeof answer !== 'object' || answer === null) return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([name, value]) => [printable(name), printableAnswer(value)]),
  );
}

/** Lines of our own around texts of others, e.g. a message: every line by itself. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** The same JSON: escapes mean what they stand for. */
export function printableJson(value: unknown): string {
  return printableLines(JSON.stringify(value, null, 2));
}
