/** A line of a comparison of two texts. */
export interface DiffLine {
  readonly kind: 'same' | 'added' | 'removed';
  readonly text: string;
  /** Number of the line in the text that has it: the new one, or the old one for a removed line. */
  readonly number: number;
}

/** Beyond this number of comparisons, the part between the common beginning and end counts as replaced. */
const comparisonsMax = 4_000_000;

/** Compares two texts line by line: the longest common subsequence of lines stays the same. */
export function diffLines(before: string, after: string): readonly DiffLine[] {
  const [old, now] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end))
    end += 1;
  const lines: DiffLine[] = [];
  const same = (from: number, to: number): void => {
    for (let at = from; at < to; at += 1) lines.push({ kind: 'same', text: now[at] ?? '', number: at + 1 });
  };
  same(0, start);
  lines.push(...diffMiddle(old.slice(start, old.length - end), now.slice(start, now.length - end), start));
  same(now.length - end, now.length);
  return lines;
}

function diffMiddle(old: readonly string[], now: readonly string[], start: number): DiffLine[] {
  const lengths = commonLengths(old, now);
  const width = now.length + 1;
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (lengths !== null && i < old.length && j < now.length && old[i] === now[j]) {
      lines.push({ kind: 'same', text: now[j] ?? '', number: start + j + 1 });
      [i, j] = [i + 1, j + 1];
      continue;
    }
    const withoutOld = lengths?.[(i + 1) * width + j] ?? 0;
    const withoutNew = lengths?.[i * width + j + 1] ?? 0;
    if (i < old.length && (j === now.length || withoutOld >= withoutNew)) {
      lines.push({ kind: 'removed', text: old[i] ?? '', number: start + i + 1 });
      i += 1;
    } else {
      lines.push({ kind: 'added', text: now[j] ?? '', number: start + j + 1 });
      j += 1;
    }
  }
  return lines;
}

/** Length of the longest common subsequence of the rests from line `i` and `j` on, at `i * width + j`; null: too many lines. */
function commonLengths(old: readonly string[], now: readonly string[]): Uint32Array | null {
  if (old.length * now.length > comparisonsMax) return null;
  const width = now.length + 1;
  const lengths = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] =
        old[i] === now[j]
          ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
    }
  }
  return lengths;
}

function linesOf(text: string): string[] {
  return text.replace(/\n$/, '').split('\n');
}

/** The changed lines with up to `context` unchanged lines around them; gaps are null. */
export function changedLines(lines: readonly DiffLine[], context = 3): readonly (DiffLine | null)[] {
  const near = lines.map(() => false);
  for (const [index, { kind }] of lines.entries())
    if (kind !== 'same') near.fill(true, Math.max(0, index - context), index + context + 1);
  const shown: (DiffLine | null)[] = [];
  for (const [index, line] of lines.entries()) {
    if (near[index] === true) shown.push(line);
    else if (shown.length > 0 && shown.at(-1) !== null && near.indexOf(true, index) !== -1) shown.push(null);
  }
  return shown;
}

/** The changed lines as text: `+` added, `-` removed, `…` for lines that are left out. Empty if nothing changed. */
export function diffText(before: string, after: string): string {
  const marks = { same: ' ', added: '+', removed: '-' } as const;
  return changedLines(diffLines(before, after))
    .map((line) =>
      line === null ? '…' : `${marks[line.kind]} ${String(line.number).padStart(4)}  ${line.text}`,
    )
    .join('\n');
}
