import { UsageError, operand } from '../command.ts';
import type { Command } from '../command.ts';
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';

const shells: Readonly<Record<string, (commands: readonly Command[]) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** Command that prints a script with which a shell completes the commands and flags of this program. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: 'completion',
    synopsis: 'bash|zsh|fish',
    summary: 'Print a script that completes commands and flags in a shell.',
    operands: [1, 1],
    example: 'completion bash > /etc/bash_completion.d/tollgate',
    run(invocation) {
      const shell = operand(invocation, 0);
      const script = shells[shell]?.(commands());
      if (script === undefined)
        throw new UsageError(
          `“${shell}” has no completion; write one of: ${Object.keys(shells).join(', ')}.`,
        );
      return Promise.resolve({ data: { shell, script }, text: script });
    },
  };
}
