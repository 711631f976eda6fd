import ts from 'typescript';
import { expect, test } from 'vitest';
import { files, nodesOf, placeOf, textOf, typeScriptFiles } from './sources.ts';

const fileLinesMax = 300;
const functionLinesMax = 70;
const generated = /^dashboards\/generated\//;
const code = /\.(ts|js|cjs|lua|sql|sh|css)$/;

test(`no file of code is longer than ${fileLinesMax} lines`, () => {
  const findings = files
    .filter((path) => code.test(path) && !generated.test(path))
    .map((path) => ({ path, lines: textOf(path).trimEnd().split('\n').length }))
    .filter(({ lines }) => lines > fileLinesMax)
    .map(({ path, lines }) => `${path} has ${lines} lines: give its second noun or verb a file of its own`);
  expect(findings).toEqual([]);
});

/**
 * The lines of an inner function count only for that inner function, so that a factory or a `describe` may contain many
 * short functions. A text of several lines (a page, a statement of SQL) counts as one line.
 */
test(`no function has more than ${functionLinesMax} lines of its own`, () => {
  const findings: string[] = [];
  for (const path of typeScriptFiles) {
    for (const node of nodesOf(path)) {
      if (!isFunctionWithBody(node)) continue;
      const lines = linesOf(node) - linesInside(node);
      if (lines > functionLinesMax) {
        findings.push(
          `${placeOf(node)} has ${lines} lines: move a step that has a name into a function below`,
        );
      }
    }
  }
  expect(findings).toEqual([]);
});

function isFunctionWithBody(node: ts.Node): boolean {
  return ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;
}

function linesOf(node: ts.Node): number {
  const source = node.getSourceFile();
  const first = source.getLineAndCharacterOfPosition(node.getStart()).line;
  return source.getLineAndCharacterOfPosition(node.getEnd()).line - first + 1;
}

/** Returns the number of lines inside a function that do not count for it. */
function linesInside(node: ts.Node): number {
  let lines = 0;
  node.forEachChild((child) => {
    const apart = isFunctionWithBody(child) || ts.isTemplateLiteral(child);
    lines += apart ? linesOf(child) - 1 : linesInside(child);
  });
  return lines;
}
