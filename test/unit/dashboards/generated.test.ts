import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renderAll } from '../../../dashboards/render.ts';

const generatedDir = join(import.meta.dirname, '../../../dashboards/generated');
const advice = 'run `npm run dashboards` and commit what it writes';

test('the committed files equal the output of the generator', () => {
  const committed = readdirSync(generatedDir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(generatedDir.length + 1));
  const rendered = renderAll();
  expect(committed.toSorted(), advice).toEqual([...rendered.keys()].toSorted());
  for (const [path, text] of rendered) {
    expect(readFileSync(join(generatedDir, path), 'utf8') === text, `${path} differs: ${advice}`).toBe(true);
  }
});

test('generating twice gives the same text', () => {
  expect([...renderAll()]).toEqual([...renderAll()]);
});
