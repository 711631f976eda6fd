import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { chartFiles } from './chart-files.ts';
import { renderAll } from './render.ts';

/**
 * Writes all files of `generated/`, and those that the Helm chart contains: Helm reads only files of the chart's folder.
 * Deletes files there that are no longer generated.
 */
const files = renderAll();
write(join(import.meta.dirname, 'generated'), files);
write(join(import.meta.dirname, '..', 'deploy', 'helm', 'tollgate', 'files'), chartFiles(files));

function write(folder: string, contents: ReadonlyMap<string, string>): void {
  rmSync(folder, { recursive: true, force: true });
  for (const [path, text] of contents) {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }
}
