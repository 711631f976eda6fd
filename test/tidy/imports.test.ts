import { createRequire } from 'node:module';
import { cruise } from 'dependency-cruiser';
import type { ICruiseOptions, ICruiseResult, IFlattenedRuleSet } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { expect, test } from 'vitest';
import { root } from './sources.ts';

interface Configuration {
  readonly forbidden: NonNullable<IFlattenedRuleSet['forbidden']>;
  readonly options: ICruiseOptions;
}

test('imports point one way: domain <- runtime, policy <- redis, kafka, clickhouse <- services', async () => {
  const { forbidden, options } = createRequire(import.meta.url)(
    '../../.dependency-cruiser.cjs',
  ) as Configuration;
  const { output } = await cruise(
    ['packages', 'services', 'shared', 'dashboards', 'dev', 'tools', 'test'],
    { ...options, baseDir: root, ruleSet: { forbidden }, validate: true },
    undefined,
    { tsConfig: extractTSConfig(`${root}/tsconfig.json`) },
  );
  const findings = (output as ICruiseResult).summary.violations.map(({ from, to, rule }) => {
    const advice = forbidden.find(({ name }) => name === rule.name)?.comment ?? '';
    return `${from} -> ${to} (${rule.name}). ${advice}`;
  });
  expect(findings).toEqual([]);
});
