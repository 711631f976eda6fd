import type { Command } from '../command.ts';
import { completionWords, quoted } from './words.ts';

/** Script for zsh, as a file `_tollgate` in a folder of `fpath` or sourced in `.zshrc`. */
export function zshCompletion(commands: readonly Command[]): string {
  const { first, second, flags, values } = completionWords(commands);
  const list = (words: readonly string[]): string => words.map(quoted).join(' ');
  const branch = ([name, words]: readonly [string, readonly string[]]): string =>
    `    ${quoted(name)}) candidates=(${list(words)}) ;;`;
  return `#compdef tollgate
_tollgate() {
  local command=$words[2] previous=$words[CURRENT-1]
  local -a candidates
  if (( CURRENT == 2 )); then
    compadd -- ${list([...first, '--help', '--version'])}
    return
  fi
  case $command in
${[...second].map(branch).join('\n')}
  esac
  if (( CURRENT == 3 && $#candidates > 0 )); then
    compadd -a candidates
    return
  fi
  if (( $#candidates > 0 )); then command="$command $words[3]"; fi
  candidates=()
  case "$command $previous" in
${[...values].map(branch).join('\n')}
  esac
  if (( $#candidates > 0 )); then
    compadd -a candidates
    return
  fi
  case $command in
${[...flags].map(branch).join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then compadd -a candidates; else _files; fi
}
if [ "$funcstack[1]" = "_tollgate" ]; then _tollgate "$@"; else compdef _tollgate tollgate; fi`;
}
