/**
 * Matches control characters (C0, C1), characters that change the direction of text, line separators and lone
 * surrogates. In a terminal, these characters can move the cursor, hide or overwrite text, or make a text look like
 * another.
 */
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;

/**
 * Makes a text from outside safe for one line of a terminal: characters that the terminal would interpret are shown
 * as `\u001b`.
 */
export function printable(text: string): string {
  return text.replace(
    unprintable,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A response in which all texts are printable, so that a command may print any part of it. */
export function printableAnswer(answer: unknown): unknown {
  if (typeof answer === 'string') return printable(answer);
  if (Array.isArray(answer)) return answer.map(printableAnswer);
  if (typeof answer !== 'object' || answer === null) return answer;
  return Object.fromEntries(
    Object.entries(answer).map(([name, value]) => [printable(name), printableAnswer(value)]),
  );
}

/** Makes each line of a text printable and keeps the line breaks. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** The value as JSON in which unprintable characters are escaped. A JSON parser restores the original characters. */
export function printableJson(value: unknown): string {
  return printableLines(JSON.stringify(value, null, 2));
}
