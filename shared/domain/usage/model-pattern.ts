/** Whether a pattern matches a model. Each `*` of the pattern matches any number of characters, also none. */
export function matchesModel(pattern: string, model: string): boolean {
  const [head = '', ...others] = pattern.split('*');
  const tail = others.pop();
  if (tail === undefined) return head === model;
  const end = model.length - tail.length;
  if (end < head.length || !model.startsWith(head) || !model.endsWith(tail)) return false;
  // The earliest place of each middle part leaves the most text for the following parts.
  let at = head.length;
  for (const part of others) {
    const found = model.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/**
 * Negative if the pattern `a` is more specific than `b`: a name without `*` is more specific than a pattern with `*`, and
 * of two patterns the one with more characters besides `*`.
 */
export function compareSpecificity(a: string, b: string): number {
  const [wild, otherWild] = [a.includes('*'), b.includes('*')];
  if (wild !== otherWild) return wild ? 1 : -1;
  return wild ? literals(b) - literals(a) : 0;
}

function literals(pattern: string): number {
  return pattern.length - (pattern.split('*').length - 1);
}

/** Whether a model exists that both patterns match. */
export function matchesSameModel(a: string, b: string): boolean {
  // Row `i` has, for each `j`, whether a text exists that both the end of `a` from `i` and the end of `b` from `j` match.
  let below: boolean[] = [];
  for (let i = a.length; i >= 0; i -= 1) {
    const row: boolean[] = [];
    for (let j = b.length; j >= 0; j -= 1) {
      const [here, there] = [a[i], b[j]];
      if (here === undefined && there === undefined) row[j] = true;
      else if (here === '*') row[j] = below[j] === true || (there !== undefined && row[j + 1] === true);
      else if (there === '*') row[j] = row[j + 1] === true || (here !== undefined && below[j] === true);
      else row[j] = here === there && below[j + 1] === true;
    }
    below = row;
  }
  return below[0] === true;
}
