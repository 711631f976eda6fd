import ts from 'typescript';
import { expect, test } from 'vitest';
import { slowestGrowth } from './growth.ts';
import { files, nodesOf, placeOf } from './sources.ts';

/**
 * Goal: no text blocks a process, whatever its content. Method: collect every pattern in production code from the
 * syntax tree: literals, `pattern` in schemas, and constants whose name ends in `Pattern`. Run each pattern on texts
 * that attack its repetitions, with lengths that grow by a factor of four. A linear pattern then takes four times as
 * long; a pattern that backtracks takes sixteen times as long or more.
 */
const shipped = files.filter((path) => /^(services|shared)\/.*\.(ts|js)$/.test(path));

interface Pattern {
  readonly place: string;
  readonly expression: RegExp;
}

const patterns = shipped.flatMap((path) => [...nodesOf(path)].flatMap(patternsAt));

test('every pattern takes time in proportion to its input', () => {
  expect(patterns.length).toBeGreaterThan(50);
  const findings = patterns.flatMap(({ place, expression }) => {
    const growth = slowestGrowth(expression);
    return growth === null
      ? []
      : [`${place} ${String(expression)}: ${growth}. Rewrite it, or split by hand.`];
  });
  expect(findings).toEqual([]);
}, 120_000);

test('the measurement finds patterns that are quadratic, cubic and exponential', () => {
  const slow = [
    /^[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+$/,
    /^\s*--.*$/m,
    /,+$/,
    /^(a+)+$/,
    /^[^@]+@[^@]*\.[^@]*\.[^@]+$/,
  ];
  expect(slow.filter((expression) => slowestGrowth(expression) === null)).toEqual([]);
}, 120_000);

test('no pattern is built where it cannot be collected', () => {
  const findings = shipped.flatMap((path) =>
    [...nodesOf(path)]
      .filter((node) => ts.isNewExpression(node) || ts.isCallExpression(node))
      .filter((node) => node.expression.getText() === 'RegExp')
      .filter((node) => !/^(\w*[pP]attern|\w+\.source)$/.test(node.arguments?.[0]?.getText() ?? ''))
      .map(
        (node) => `${placeOf(node)}: write a literal, its source, or a constant whose name ends in Pattern`,
      ),
  );
  expect(findings).toEqual([]);
});

function patternsAt(node: ts.Node): readonly Pattern[] {
  const place = placeOf(node);
  if (ts.isRegularExpressionLiteral(node)) {
    const [, source = '', flags = ''] = /^\/(.*)\/([a-z]*)$/s.exec(node.text) ?? [];
    return [{ place, expression: new RegExp(source, flags) }];
  }
  const named =
    (ts.isPropertyAssignment(node) && node.name.getText() === 'pattern') ||
    (ts.isVariableDeclaration(node) && /[pP]attern$/.test(node.name.getText()));
  const text = named ? node.initializer : undefined;
  return text !== undefined && ts.isStringLiteralLike(text)
    ? [{ place, expression: new RegExp(text.text, 'u') }]
    : [];
}
