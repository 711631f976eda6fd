import ts from 'typescript';
import { expect, test } from 'vitest';
import { nodesOf, typeScriptFiles } from './sources.ts';

const errorsFile = 'shared/runtime/errors.ts';

test('every error code is thrown somewhere', () => {
  const declared = [...nodesOf(errorsFile)]
    .filter((node) => ts.isTypeAliasDeclaration(node) && node.name.text === 'ErrorCode')
    .flatMap((node) => literalsWithin(node));
  expect(declared.length).toBeGreaterThan(10);
  const thrown = new Set<string>();
  for (const path of typeScriptFiles) {
    if (!/^(services|shared|dev|tools)\//.test(path) || path === errorsFile) continue;
    for (const node of nodesOf(path)) if (ts.isStringLiteral(node) && isThrown(node)) thrown.add(node.text);
  }
  const unused = declared.filter((code) => !thrown.has(code));
  expect(unused, `remove them from ErrorCode in ${errorsFile}`).toEqual([]);
});

function literalsWithin(node: ts.Node): string[] {
  if (ts.isStringLiteral(node)) return [node.text];
  const found: string[] = [];
  node.forEachChild((child) => void found.push(...literalsWithin(child)));
  return found;
}

/** False where a code is only compared, listed in a set, or used as a case of a switch. */
function isThrown({ parent }: ts.StringLiteral): boolean {
  if (ts.isBinaryExpression(parent)) return false;
  return !ts.isArrayLiteralExpression(parent) && !ts.isCaseClause(parent) && !ts.isLiteralTypeNode(parent);
}
