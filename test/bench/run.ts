// npm run bench [-- --quick] [name …]: runs the `*.bench.ts` of this folder and writes the figures into docs/benchmarks.md.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './bench.ts';

const page = join(import.meta.dirname, '../../docs/benchmarks.md');
const words = process.argv.slice(2);
const quick = words.includes('--quick');
const selected = words.filter((word) => !word.startsWith('--'));

for (const bench of await findBenches()) {
  if (selected.length > 0 && !selected.includes(bench.name)) continue;
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-bench-'));
  try {
    say(`${bench.title} …`);
    const section = await bench.run({ dir, quick, say });
    say(section);
    if (!quick) await writeSection(bench, section);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function findBenches(): Promise<Bench[]> {
  const names = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.bench.ts')).sort();
  const modules = await Promise.all(names.map((name) => import(`./${name}`) as Promise<{ bench: Bench }>));
  return modules.map(({ bench }) => bench);
}

/** Replaces the section of the benchmark and keeps the other sections of the page. */
async function writeSection({ name, title }: Bench, section: string): Promise<void> {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const text = existsSync(page) ? await readFile(page, 'utf8') : '# Benchmarks\n';
  const block = `${begin}\n\n## ${title}\n\n${section.trim()}\n\n${provenance()}\n\n${end}`;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  const next =
    from === -1 || to === -1
      ? `${text.trimEnd()}\n\n${block}\n`
      : text.slice(0, from) + block + text.slice(to + end.length);
  await writeFile(page, next);
}

function provenance(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
  const cpu = cpus()[0]?.model.trim() ?? 'unknown processor';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const load = loadavg()[0]?.toFixed(1) ?? '?';
  return (
    `Measured at commit \`${git('rev-parse', '--short', 'HEAD')}\` on ${new Date().toISOString().slice(0, 16)}Z: ` +
    `${cpus().length} cores (${cpu}), ${memory}, Node ${process.versions.node}; load average at the end ${load}.`
  );
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
