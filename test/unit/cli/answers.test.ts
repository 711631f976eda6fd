// Goal: the answers of the admin API are declared once, in shared/admin-answers.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const folder = join(import.meta.dirname, '../../../services/cli/commands');

test('no command declares an answer of the admin API again', () => {
  const declared = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const text = readFileSync(join(folder, name), 'utf8');
      const found = text.matchAll(/call(?:Unchanged)?<\s*\{|interface \w*Answer\b/g);
      return [...found].map(([declaration]) => `${name}: ${declaration}`);
    });
  expect(declared).toEqual([]);
});
