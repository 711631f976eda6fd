import { expect, test } from 'vitest';
import { publicUrl } from '../../../dev/publish/build-package.ts';

test.each([
  ['https://git.example.com/acme/tollgate.git', 'git+https://git.example.com/acme/tollgate.git'],
  ['https://user:secret@git.example.com/acme/tollgate', 'git+https://git.example.com/acme/tollgate.git'],
  ['git@git.example.com:acme/tollgate.git', 'git+https://git.example.com/acme/tollgate.git'],
  ['ssh://git@git.example.com:22/acme/tollgate.git', 'git+https://git.example.com/acme/tollgate.git'],
  ['/srv/tollgate', null],
  ['../tollgate', null],
  ['file:///srv/tollgate.git', null],
  ['', null],
])('a package built in a clone of %s names the repository %s', (origin, url) => {
  expect(publicUrl(origin)).toBe(url);
});
