// Exits 0 when node_modules holds exactly what package-lock.json asks for. Plain JavaScript without an import:
// it runs under whatever Node the machine has, before anything is installed.
const { readFileSync } = require('node:fs');

const wanted = packagesOf('package-lock.json');
const present = packagesOf('node_modules/.package-lock.json');
if (wanted === null || present === null) process.exit(1);
for (const [path, { version, optional, devOptional }] of Object.entries(wanted)) {
  if (path === '') continue;
  const installed = present[path];
  // What is optional may be left out: it is for another platform.
  if (installed === undefined && (optional || devOptional)) continue;
  if (installed === undefined || installed.version !== version) process.exit(1);
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}
