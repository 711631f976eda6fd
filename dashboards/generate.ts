import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { renderAll } from './render.ts';

/** Writes all files of `generated/`, and deletes files there that are no longer generated. */
const generatedDir = join(import.meta.dirname, 'generated');
rmSync(generatedDir, { recursive: true, force: true });
for (const [path, text] of renderAll()) {
  const target = join(generatedDir, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}
