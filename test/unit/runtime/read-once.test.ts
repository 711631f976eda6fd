import { expect, test } from 'vitest';
import { readOnce } from '../../../shared/runtime/read-once.ts';

test('parts of a page that show the same read it once, also if the read fails', async () => {
  let reads = 0;
  const once = readOnce((name: string) => {
    reads += 1;
    return name === '' ? Promise.reject(new Error('no name')) : Promise.resolve(name);
  });
  expect(await Promise.all([once('a'), once('b')])).toEqual(['a', 'a']);
  expect(reads).toBe(1);
  const failing = readOnce(() => Promise.reject(new Error(`read ${(reads += 1)}`)));
  await expect(Promise.all([failing(), failing()])).rejects.toThrow('read 2');
  await expect(failing()).rejects.toThrow('read 2');
});
