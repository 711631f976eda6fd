import type { Command } from '../command.ts';
import { completionWords, quoted } from './words.ts';

/** Script for fish, as the file `~/.config/fish/completions/tollgate.fish`. */
export function fishCompletion(commands: readonly Command[]): string {
  const { first, second } = completionWords(commands);
  const at = (condition: string, rest: string): string =>
    `complete -c tollgate -n ${quoted(condition)} ${rest}`;
  return [
    ...first.map((word) => {
      const summary = commands.find(({ name }) => name === word)?.summary;
      const text = summary === undefined ? '' : ` -d ${quoted(summary)}`;
      return at('__fish_use_subcommand', `-f -a ${quoted(word)}${text}`);
    }),
    at('__fish_use_subcommand', '-f -l version -l help'),
    ...[...second].flatMap(([word, next]) =>
      next.map((one) => {
        const summary = commands.find(({ name }) => name === `${word} ${one}`)?.summary ?? '';
        const condition = `__fish_seen_subcommand_from ${word}; and not __fish_seen_subcommand_from ${next.join(' ')}`;
        return at(condition, `-f -a ${quoted(one)} -d ${quoted(summary)}`);
      }),
    ),
    ...commands.flatMap(({ name, flags = {} }) => {
      const seen = name
        .split(' ')
        .map((word) => `__fish_seen_subcommand_from ${word}`)
        .join('; and ');
      return [
        ...Object.entries(flags).map(([flag, { type, help, values }]) =>
          at(
            seen,
            `-l ${flag}${type === 'string' ? ' -r' : ''}${values === undefined ? '' : ` -f -a ${quoted(values.join(' '))}`} -d ${quoted(help)}`,
          ),
        ),
        at(seen, '-l json -l help'),
      ];
    }),
  ].join('\n');
}
