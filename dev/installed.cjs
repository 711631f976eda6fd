// Exits with 0 if node_modules contains exactly the packages of package-lock.json. It is plain JavaScript without
// dependencies, because it runs before packages are installed, and on any version of Node.
const { readFileSync } = require('node:fs');

const wanted = packagesOf('package-lock.json');
const present = packagesOf('node_modules/.package-lock.json');
if (wanted === null || present === null) process.exit(1);
for (const [path, { version, optional, devOptional }] of Object.entries(wanted)) {
  if (path === '') continue;
  const installed = present[path];
  // An optional package may be missing, because it can be for another platform.
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
