import ts from 'typescript';
import { expect, test } from 'vitest';
import { nodesOf, typeScriptFiles } from './sources.ts';

/** How many requirements each source document has: A1 to A9, B1 to B12, … */
const documents = { A: 9, B: 12, C: 8, D: 5, E: 7 };

test('every requirement from A1 to E7 is named by the title of a test', () => {
  const named = new Set(typeScriptFiles.filter((path) => path.startsWith('test/')).flatMap(idsInTitles));
  const missing = Object.entries(documents)
    .flatMap(([letter, count]) => Array.from({ length: count }, (_, index) => `${letter}${index + 1}`))
    .filter((id) => !named.has(id));
  expect(missing, 'write a test whose title begins with the id').toEqual([]);
});

/**
 * Returns the requirements that the titles of a file name; `A5, B2: …` names two. Only the text before the first colon
 * counts, so that a sentence does not name a requirement by accident.
 */
function idsInTitles(path: string): string[] {
  const ids: string[] = [];
  for (const node of nodesOf(path)) {
    if (!ts.isCallExpression(node) || !/^(test|it|describe)\b/.test(node.expression.getText())) continue;
    const title = node.arguments[0];
    if (title === undefined || !(ts.isStringLiteralLike(title) || ts.isTemplateExpression(title))) continue;
    const head = title.getText().slice(1).split(':')[0] ?? '';
    ids.push(...(head.match(/\b[A-E]\d{1,2}\b/g) ?? []));
  }
  return ids;
}
