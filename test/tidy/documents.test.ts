import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { files, root, textOf } from './sources.ts';

const documents = files.filter((path) => path.endsWith('.md'));

test('every link between documents leads somewhere', () => {
  const broken = documents.flatMap((path) =>
    linksOf(path)
      .filter((target) => !existsSync(join(root, target)))
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

test('every document for users is one link away from docs/README.md', () => {
  const linked = new Set(linksOf('docs/README.md'));
  const missing = documents
    .filter((path) => /^(docs\/[^/]+|(packages|examples)\/[^/]+\/README)\.md$/.test(path))
    .filter((path) => path !== 'docs/README.md' && !linked.has(path));
  expect(missing, 'add a task to docs/README.md').toEqual([]);
  expect(linked).toContain('docs/runbooks');
});

/** The paths in this repository that a document links to. */
function linksOf(path: string): string[] {
  return [...textOf(path).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^(https?:|mailto:)/.test(target))
    .map((target) => join(dirname(path), target));
}
