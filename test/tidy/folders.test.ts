import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { files } from './sources.ts';

const codeFilesMax = 15;
const code = /\.(ts|js|mjs|cjs|lua)$/;
/** Folders that may have more files. The scripts of Redis are a list: each script is a file. */
const exempt = /^shared\/redis\/scripts$/;

test(`no folder has more than ${codeFilesMax} files of code`, () => {
  const counts = new Map<string, number>();
  for (const path of files) {
    if (!code.test(path)) continue;
    const folder = dirname(path);
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  const findings = [...counts]
    .filter(([folder, count]) => count > codeFilesMax && !exempt.test(folder))
    .map(([folder, count]) => `${folder} has ${count} files: sort them into subfolders by what they do`);
  expect(findings).toEqual([]);
});
