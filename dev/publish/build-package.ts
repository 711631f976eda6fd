import { execFileSync } from 'node:child_process';
import { cp, glob, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { packageContents } from './package-contents.ts';

type Manifest = Readonly<Record<string, unknown>> & {
  readonly name: string;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, unknown>>;
};

const root = join(import.meta.dirname, '../..');

/**
 * Builds one folder of `packages/` into `target`, a directory that `npm pack` and `npm publish` accept: JavaScript with
 * source maps and declarations, the files that the code reads, README, licence and manifest. Throws if the code does
 * not compile, or if an imported package is not among the dependencies of this repository.
 */
export async function buildPackage(folder: string, target: string): Promise<void> {
  const contents = packageContents[folder];
  if (contents === undefined) throw new Error(`dev/publish/package-contents.ts has no package ${folder}`);
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const dist = join(target, 'dist');
  const entries: string[] = [];
  for await (const path of glob([...contents.entries, '{shared,services}/**/*.d.ts'], { cwd: root })) {
    entries.push(path);
  }
  compile(entries, dist);
  for (const pattern of contents.assets) {
    for await (const path of glob(pattern, { cwd: root })) {
      await cp(join(root, path), join(dist, path), { recursive: true });
    }
  }
  await cp(join(root, 'LICENSE'), join(target, 'LICENSE'));
  await cp(join(root, 'packages', folder, 'README.md'), join(target, 'README.md'));
  const manifest = JSON.parse(
    await readFile(join(root, 'packages', folder, 'package.json'), 'utf8'),
  ) as Manifest;
  await writeFile(
    join(target, 'package.json'),
    `${JSON.stringify(await completeManifest(manifest, dist), null, 2)}\n`,
  );
}

function compile(entries: readonly string[], outDir: string): void {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options, errors } = ts.convertCompilerOptionsFromJson(
    {
      ...config.compilerOptions,
      noEmit: false,
      incremental: false,
      tsBuildInfoFile: undefined,
      declaration: true,
      sourceMap: true,
      inlineSources: true,
      rewriteRelativeImportExtensions: true,
      rootDir: root,
      outDir,
    },
    root,
  );
  const program = ts.createProgram(
    entries.map((entry) => join(root, entry)),
    options,
  );
  const { diagnostics } = program.emit(undefined, (path, text) =>
    ts.sys.writeFile(path, withJavaScriptPaths(path.slice(outDir.length + 1), text)),
  );
  const found = [...errors, ...ts.getPreEmitDiagnostics(program), ...diagnostics];
  if (found.length === 0) return;
  throw new Error(
    ts.formatDiagnostics(found, {
      getCurrentDirectory: () => root,
      getCanonicalFileName: (name) => name,
      getNewLine: () => '\n',
    }),
  );
}

/**
 * Rewrites paths of TypeScript files that the compiler does not rewrite: of imports in declarations, and of the scripts
 * that the local stack starts as processes. The text keeps its length, so source maps stay valid.
 */
function withJavaScriptPaths(path: string, text: string): string {
  if (/^(dev|tools)\/.*\.js$/.test(path)) return text.replace(/(['"`])([\w./${}-]*)\.ts\1/g, '$1$2.js$1');
  if (!path.endsWith('.d.ts')) return text;
  return text.replace(/(from |import\()(['"])(\.{1,2}\/[^'"]+)\.ts\2/g, '$1$2$3.js$2');
}

/** Adds to the manifest what all packages share, and the versions of the packages that the compiled code imports. */
async function completeManifest(manifest: Manifest, dist: string): Promise<object> {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly version: string;
    readonly license: string;
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const { peerDependencies = {} } = manifest;
  const dependencies: Record<string, string> = {};
  for (const name of await importedPackages(dist)) {
    if (peerDependencies[name] !== undefined) continue;
    const version = own.dependencies[name];
    if (version === undefined) throw new Error(`${manifest.name} imports ${name}: add it to dependencies`);
    dependencies[name] = version;
  }
  return {
    ...manifest,
    version: own.version,
    license: own.license,
    ...repositoryOf(manifest),
    files: ['dist'],
    ...(Object.keys(dependencies).length === 0 ? {} : { dependencies }),
    publishConfig: { access: 'public', provenance: true },
  };
}

async function importedPackages(dist: string): Promise<string[]> {
  const names = new Set<string>();
  for (const file of await readdir(dist, { recursive: true })) {
    if (!/\.(js|d\.ts)$/.test(file)) continue;
    const text = await readFile(join(dist, file), 'utf8');
    const imported = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
    // Files of a package that are read, not imported.
    const resolved = [...text.matchAll(/(?:import\.meta|require)\.resolve\('([^']+)'\)/g)].map(
      ([, name = '']) => name,
    );
    for (const fileName of [...imported, ...resolved]) {
      if (fileName.startsWith('.') || fileName.startsWith('/') || isBuiltin(fileName)) continue;
      const parts = fileName.split('/');
      names.add(parts.slice(0, fileName.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  return [...names].sort();
}

/**
 * The repository that publishes: npm's provenance requires that the manifest names it. It is left out if the clone has no
 * origin on a server.
 */
function repositoryOf({ name }: Manifest): object {
  const url = publicUrl(originUrl());
  if (url === null) return {};
  const directory = join('packages', name.replace(/^@tollgate\//, ''));
  return { repository: { type: 'git', url, directory } };
}

/** The address of a repository as manifests state it, without the credentials that a clone may have; null for a local path. */
export function publicUrl(origin: string): string | null {
  const written =
    /^(?:(?:https?|ssh|git):\/\/)?(?:[^@/]+@)?([a-z0-9.-]+\.[a-z]+)(?::\d+)?[:/]+(.+?)(?:\.git)?\/?$/i;
  const [, host, path] = written.exec(origin) ?? [];
  return host === undefined || path === undefined ? null : `git+https://${host.toLowerCase()}/${path}.git`;
}

/** Empty if the clone has no origin. */
function originUrl(): string {
  try {
    const options = { cwd: root, encoding: 'utf8', stdio: 'pipe' } as const;
    return execFileSync('git', ['config', '--get', 'remote.origin.url'], options).trim();
  } catch {
    return '';
  }
}
