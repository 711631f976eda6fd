/**
 * Fields of a query: each is one text, the first where a name is repeated, as forms have it (`URLSearchParams.get`). No
 * field has a name of `Object.prototype`.
 */
export function readQuery(text: string): Record<string, string> {
  const fields = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(text)) fields[name] ??= value;
  return fields;
}
