import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from '../bench.ts';

const page = join(import.meta.dirname, '../../../docs/benchmarks.md');

/** Replaces the section of a benchmark in docs/benchmarks.md and keeps the other sections. */
export async function writeSection(
  { name, title }: Pick<Bench, 'name' | 'title'>,
  section: string,
): Promise<void> {
  const text = existsSync(page) ? await readFile(page, 'utf8') : '# Benchmarks\n';
  await writeFile(page, withBlock(text, name, `## ${title}\n\n${section.trim()}`));
}

/** Replaces the text between the markers of a block, or appends the block. */
export function withBlock(text: string, name: string, contents: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const block = `${begin}\n\n${contents}\n\n${end}`;
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to === -1) return `${text.trimEnd()}\n\n${block}\n`;
  return text.slice(0, from) + block + text.slice(to + end.length);
}
