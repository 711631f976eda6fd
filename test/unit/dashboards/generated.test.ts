import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { chartFiles } from '../../../dashboards/chart-files.ts';
import { renderAll } from '../../../dashboards/render.ts';

const repository = join(import.meta.dirname, '../../..');
const advice = 'run `npm run dashboards` and commit what it writes';

test.each([
  ['dashboards/generated', renderAll()],
  ['deploy/helm/tollgate/files', chartFiles(renderAll())],
])('the committed files of %s equal the output of the generator', (folder, rendered) => {
  const dir = join(repository, folder);
  const committed = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1));
  expect(committed.toSorted(), advice).toEqual([...rendered.keys()].toSorted());
  for (const [path, text] of rendered) {
    expect(readFileSync(join(dir, path), 'utf8') === text, `${path} differs: ${advice}`).toBe(true);
  }
});

test('generating twice gives the same text', () => {
  expect([...renderAll()]).toEqual([...renderAll()]);
});
