import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildPackage } from './build-package.ts';
import { packageContents } from './package-contents.ts';

/**
 * `npm run build -- [PACKAGE…] [--to DIRECTORY]`: builds the named packages, or all, each into a folder of the
 * directory (default: `.local/packages`).
 */
const { positionals, values } = parseArgs({ allowPositionals: true, options: { to: { type: 'string' } } });
const target = values.to ?? join(import.meta.dirname, '../..', '.local', 'packages');
for (const folder of positionals.length === 0 ? Object.keys(packageContents) : positionals) {
  await buildPackage(folder, join(target, folder));
  console.log(`${folder}: ${join(target, folder)}`);
}
