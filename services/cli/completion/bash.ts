import type { Command } from '../command.ts';
import { completionWords, quoted } from './words.ts';

/** Script for bash. Words that it does not complete are names of files. */
export function bashCompletion(commands: readonly Command[]): string {
  const { first, second, flags, values } = completionWords(commands);
  const branch = ([name, words]: readonly [string, readonly string[]]): string =>
    `    ${quoted(name)}) words=${quoted(words.join(' '))} ;;`;
  return `_tollgate() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local command=\${COMP_WORDS[1]} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quoted([...first, '--help', '--version'].join(' '))} -- "$current"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case $command in
${[...second].map(([name, words]) => `  ${branch([name, words])}`).join('\n')}
    esac
    if [ -n "$words" ]; then
      COMPREPLY=($(compgen -W "$words" -- "$current"))
      return
    fi
  fi
  case $command in
    ${[...second.keys()].join('|')}) command="$command \${COMP_WORDS[2]}" ;;
  esac
  case "$command $previous" in
${[...values].map(branch).join('\n')}
  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case $command in
${[...flags].map(branch).join('\n')}
  esac
  if [[ $current == -* ]]; then COMPREPLY=($(compgen -W "$words" -- "$current")); fi
}
complete -o default -F _tollgate tollgate`;
}
