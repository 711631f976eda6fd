import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { files, root, textOf } from './sources.ts';

const documents = files.filter((path) => path.endsWith('.md'));

test('every link between documents leads somewhere', () => {
  const broken = documents.flatMap((path) =>
    [...textOf(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^(https?:|mailto:)/.test(target))
      .filter((target) => !existsSync(join(root, dirname(path), target)))
      .map((target) => `${path}: ${target}`),
  );
  expect(broken).toEqual([]);
});

test('every place in docs/contributing.md exists', () => {
  const [, table = ''] = textOf('docs/contributing.md').split('## Where to find things');
  const places = [...table.matchAll(/\| `([^`]+)` \|$/gm)].map(([, place = '']) => place);
  expect(places.length).toBeGreaterThanOrEqual(20);
  expect(places.filter((place) => !existsSync(join(root, place)))).toEqual([]);
});

test('the list of decisions names each of them', () => {
  const list = textOf('docs/decisions/README.md');
  const missing = files
    .filter((path) => /^docs\/decisions\/\d{3}-/.test(path))
    .filter((path) => !list.includes(`(${path.slice('docs/decisions/'.length)})`));
  expect(missing, 'add it to docs/decisions/README.md').toEqual([]);
});
