import type { Command } from '../command.ts';

/** What a shell completes: the words of a command line in the order in which they are typed. */
export interface CompletionWords {
  /** First words of all commands. */
  readonly first: readonly string[];
  /** Second words, by the first word of commands of two words. */
  readonly second: ReadonlyMap<string, readonly string[]>;
  /** Flags by the name of the command, each with `--`. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  /** Values by command and flag, e.g. `top --by`. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

export function completionWords(commands: readonly Command[]): CompletionWords {
  const second = new Map<string, string[]>();
  const values = new Map<string, readonly string[]>();
  for (const { name, flags = {} } of commands) {
    const [first = '', next] = name.split(' ');
    if (next !== undefined) second.set(first, [...(second.get(first) ?? []), next]);
    for (const [flag, { values: known }] of Object.entries(flags))
      if (known !== undefined) values.set(`${name} --${flag}`, known);
  }
  return {
    first: [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))],
    second,
    flags: new Map(
      commands.map(({ name, flags = {} }) => [
        name,
        [...Object.keys(flags), 'json', 'help'].map((flag) => `--${flag}`),
      ]),
    ),
    values,
  };
}

/** A text in single quotes, for all three shells. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
