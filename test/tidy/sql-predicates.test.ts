import { expect, test } from 'vitest';
import { overLimit, passedLimits, refused } from '../../shared/clickhouse/queries/predicates.ts';
import { files, textOf } from './sources.ts';

const home = 'shared/clickhouse/queries/predicates.ts';
/** In SQL, a comparison of the column `decision` with a text in single quotes. An empty text is a default in TypeScript. */
const comparison = /\bdecision\s*(=|!=|<>|(NOT\s+)?IN\s*\(|LIKE)\s*'(?!')/gi;

test('conditions on decisions are written in one file', () => {
  const findings: string[] = [];
  for (const path of files) {
    if (!/^(services|shared|dashboards|dev)\/.*\.ts$/.test(path) || path === home) continue;
    for (const [found] of textOf(path).matchAll(comparison)) {
      findings.push(`${path} writes ${found}…: use a condition of ${home}`);
    }
  }
  expect(findings).toEqual([]);
});

test('the columns of views use the same conditions', () => {
  const columns = files
    .filter((path) => /^shared\/clickhouse\/migrations\/.*\.sql$/.test(path))
    .flatMap((path) => [...textOf(path).matchAll(/if\((decision .*), requests, 0\) AS (\w+)/g)])
    .map(([, condition = '', column = '']) => [column, condition] as const);
  expect(columns.length).toBeGreaterThan(5);
  const conditions: Readonly<Record<string, string>> = {
    allowed: passedLimits,
    limited: refused,
    bypassed: `decision = 'bypassed'`,
  };
  for (const [column, condition] of columns)
    expect([column, condition]).toEqual([column, conditions[column]]);
});

test('the pattern finds what it forbids', () => {
  for (const text of [passedLimits, refused, overLimit, "u.decision != 'limited'"]) {
    expect(text.match(comparison), text).toHaveLength(1);
  }
  expect(`decision === 'limited' && {decision="limited"}`.match(comparison)).toBeNull();
});
