import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { environmentTable } from '../../../dev/environment-table.ts';

const between = /<!-- environment: begin -->\n([^]*)<!-- environment: end -->/;

test('docs/design.md has exactly the table that the schemas of the services describe', () => {
  const documented = between.exec(readFileSync('docs/design.md', 'utf8'))?.[1];
  expect(documented, 'copy the output of node dev/environment-table.ts').toBe(`${environmentTable()}\n`);
});

test('the table has the variables of every process and of every policy file', () => {
  const table = environmentTable();
  for (const process of readdirSync('services')) expect(table).toMatch(new RegExp(`\\b${process}\\b`));
  const policies = readdirSync('policies').filter((name) => name.endsWith('.yaml'));
  const secrets = policies.flatMap((name) =>
    [...readFileSync(`policies/${name}`, 'utf8').matchAll(/(?:secret|token)_env: (\w+)/g)].map(
      ([, secret]) => secret,
    ),
  );
  expect(secrets.length).toBeGreaterThan(0);
  for (const secret of secrets) expect(table).toContain(`\`${secret}\``);
});
