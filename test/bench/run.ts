// npm run bench [-- --quick | --busy] [name …]: runs the benchmarks of the table of aims, or those that are named, and writes the figures into
// docs/benchmarks.md. A run of the whole table also writes the figures of the capacity model.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runParts, table } from './bench.ts';
import type { Bench } from './bench.ts';
import { capacityFigures, goalRows } from './report/figures.ts';
import type { FigureName } from './report/figures.ts';
import { provenance, sentenceOf } from './report/provenance.ts';
import { writeCapacity } from './report/write-capacity.ts';
import { writeSection } from './report/write-section.ts';

const words = process.argv.slice(2);
const quick = words.includes('--quick');
const waits = !quick && !words.includes('--busy');
const selected = words.filter((word) => !word.startsWith('--'));
const isWhole = selected.length === 0;
const figures = new Map<FigureName, number>();
const startedAt = performance.now();

const benches = (await findBenches()).filter(({ name, isPartOfTable }) =>
  selected.length > 0 ? selected.includes(name) : isPartOfTable,
);
for (const [index, bench] of benches.entries()) {
  say(`${minutes()} ${index + 1}/${benches.length} ${bench.title} …`);
  const section = await runAlone(bench);
  say(section);
  if (quick) continue;
  await writeSection(bench, `${section}\n\n${sentenceOf(provenance())}`);
  // Written after each benchmark, so that a run that is ended early leaves what it has measured.
  if (isWhole)
    await writeSection({ name: 'aims', title: 'Aims' }, `${goals()}\n\n${sentenceOf(provenance())}`);
}
const missing = capacityFigures.filter((name) => !Number.isFinite(figures.get(name)));
say(`${minutes()}\n\n${goals()}`);
if (isWhole && !quick) {
  if (missing.length === 0) await writeCapacity(figures, provenance());
  else say(`The capacity model keeps its figures, because some were not measured: ${missing.join(', ')}.`);
}

function goals(): string {
  return table(['figure', 'measured', 'aim', 'missed by'], goalRows(figures, isWhole));
}

async function runAlone(bench: Bench): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-bench-'));
  const record = (name: FigureName, value: number): void => void figures.set(name, value);
  const options = { dir, quick, waits, say, record };
  try {
    return await runParts(options, { [bench.title]: () => bench.run(options) });
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function findBenches(): Promise<Bench[]> {
  const names = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.bench.ts')).sort();
  const modules = await Promise.all(names.map((name) => import(`./${name}`) as Promise<{ bench: Bench }>));
  return modules.map(({ bench }) => bench);
}

function minutes(): string {
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  return `[${Math.floor(seconds / 60)} min ${seconds % 60} s]`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
