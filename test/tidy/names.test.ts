import { expect, test } from 'vitest';
import { files, textOf } from './sources.ts';

test('every file is named after what it holds', () => {
  const findings = files
    .filter((path) => /(^|\/)(utils?|helpers?|common|managers?|misc|index)(\.|\/)/i.test(path))
    .filter((path) => !path.endsWith('index.html'))
    .map((path) => `${path}: name it after the noun or verb of the domain that it is`);
  expect(findings).toEqual([]);
});

test('nothing tracked names a path of one machine or a registry host', () => {
  const words = [
    ['/work', '/main'],
    ['/work', '/shared'],
    ['/tmp', '/bash_jobs'],
    ['/.', 'library/'],
    ['/root', '/'],
    ['registry.', 'npmjs'],
    ['files.python', 'hosted'],
    ['pypi.', 'org'],
    ['repo1.', 'maven'],
    ['repo.maven.', 'apache'],
    ['deb.', 'debian'],
    ['proxy.', 'golang'],
    ['static.', 'crates'],
  ].map((parts) => parts.join(''));
  const findings: string[] = [];
  for (const path of files) {
    if (/\.(png|jpg|ico|woff2?|gz|bin)$/.test(path)) continue;
    textOf(path)
      .split('\n')
      .forEach((line, index) => {
        const word = words.find((candidate) => line.includes(candidate));
        if (word !== undefined) findings.push(`${path}:${index + 1} names ${word}: it exists only here`);
      });
  }
  expect(findings).toEqual([]);
});
