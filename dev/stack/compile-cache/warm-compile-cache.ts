import { readdir, rename, rm } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { serviceNames } from '../services.ts';

/**
 * Compiles the modules of all services once. Later starts then take a third of the time. `NODE_COMPILE_CACHE` names a
 * temporary directory, which is renamed to `WARM_CACHE_DIR` when the cache is complete.
 */
const draft = process.env['NODE_COMPILE_CACHE'];
const target = process.env['WARM_CACHE_DIR'];
if (draft === undefined || target === undefined)
  throw new Error('NODE_COMPILE_CACHE and WARM_CACHE_DIR are not set');
const services = join(import.meta.dirname, '..', '..', '..', 'services');
for (const name of serviceNames) {
  for (const file of await readdir(join(services, name), { recursive: true })) {
    // `main.ts` is left out, because importing it would start the service. The other files import the same modules.
    if (file.endsWith('.ts') && file !== 'main.ts') await import(join(services, name, file));
  }
}
flushCompileCache();
await rm(target, { recursive: true, force: true });
await rename(draft, target);
process.exit(0);
