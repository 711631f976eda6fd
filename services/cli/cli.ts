import { parseArgs } from 'node:util';
import type { ParseArgsOptionDescriptor } from 'node:util';
import { TollgateError, messageOf } from '../../shared/runtime/errors.ts';
import { createAdminClient } from './admin-client.ts';
import type { Command, Invocation, Method } from './command.ts';
import { UsageError } from './command.ts';
import type { ClickHouseConfig, KafkaConfig } from './environment.ts';
import { CliFailure } from './installation.ts';
import { printableAnswer, printableJson, printableLines } from './printable.ts';
import type { Installation } from './installation.ts';
import { auditCommands } from './commands/audit.ts';
import { deadLetterCommands } from './commands/dead-letters.ts';
import { keysCommand } from './commands/keys.ts';
import { policyCommands } from './commands/policy.ts';
import { completionCommand } from './completion/command.ts';
import { settingsCommands } from './commands/settings.ts';
import { portalCommands } from './commands/portal.ts';
import { eventCommands } from './commands/recorded/events.ts';
import { usageCommands } from './commands/recorded/usage.ts';
import { tenantCommands } from './commands/tenants.ts';
import { tenantControls } from './commands/tenant-controls.ts';
import { requestCommands } from './commands/requests.ts';
import { reservationsCommand } from './commands/reservations.ts';
import { sizeCommand } from './commands/size.ts';
import { tablesCommand } from './commands/tables.ts';
import { topicsCommand } from './commands/topics.ts';

const commands: readonly Command[] = [
  ...policyCommands,
  ...tenantCommands,
  ...usageCommands,
  ...eventCommands,
  ...settingsCommands,
  ...tenantControls,
  ...requestCommands,
  keysCommand,
  ...portalCommands,
  ...deadLetterCommands,
  reservationsCommand,
  ...auditCommands,
  topicsCommand,
  tablesCommand,
  sizeCommand,
  completionCommand(() => commands),
];

export interface CliOptions {
  readonly args: readonly string[];
  readonly installation: () => Promise<Installation>;
  /** Reads the environment variables for the connection to Kafka. Throws CONFIG_INVALID. */
  readonly kafka: () => KafkaConfig;
  readonly clickhouse: () => ClickHouseConfig;
  /** Name of the actor for the audit trail. */
  readonly actor: string;
  readonly nowMs: number;
  readonly version: string;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/**
 * Runs one command and resolves with the exit code: 0 for success, 1 if the command was refused or failed, 2 for an
 * invalid command line.
 */
export async function runCli(options: CliOptions): Promise<0 | 1 | 2> {
  const { args, out } = options;
  const err = (text: string): void => options.err(printableLines(text));
  const words = args.filter((arg) => !arg.startsWith('-'));
  if (words.length === 0) {
    if (args.includes('--version')) {
      out(`tollgate ${options.version}`);
      return 0;
    }
    out(overview());
    return args.length === 0 || args.includes('--help') || args.includes('-h') ? 0 : 2;
  }
  const command = commandFor(args);
  if (command === null) {
    err(`There is no command “${words.join(' ')}”.\n\n${overview()}`);
    return 2;
  }
  try {
    return await run(command, options);
  } catch (error) {
    if (error instanceof UsageError) {
      err(`${error.message}\n\n${helpOf(command)}`);
      return 2;
    }
    err(
      error instanceof CliFailure || error instanceof TollgateError
        ? error.message
        : `Failed: ${messageOf(error)}`,
    );
    return 1;
  }
}

async function run(command: Command, options: CliOptions): Promise<0 | 1> {
  const parsed = parse(command, options.args.slice(command.name.split(' ').length));
  if (parsed.values['help'] === true) {
    options.out(helpOf(command));
    return 0;
  }
  const [least, most] = command.operands;
  if (parsed.positionals.length < least || parsed.positionals.length > most)
    throw new UsageError(
      `“${command.name}” takes ${least === most ? least : `${least} to ${most}`} operands.`,
    );
  let client: ReturnType<typeof createAdminClient> | null = null;
  const asJson = parsed.values['json'] === true;
  const callUnchanged = async <Answer>(method: Method, path: string, body?: object): Promise<Answer> => {
    client ??= createAdminClient(await options.installation(), options.actor);
    return client.call<Answer>(method, path, body);
  };
  const invocation: Invocation = {
    operands: parsed.positionals,
    flags: parsed.values,
    nowMs: options.nowMs,
    kafka: options.kafka,
    clickhouse: options.clickhouse,
    print: ({ data, text }) =>
      options.out(asJson ? JSON.stringify(JSON.parse(printableJson(data))) : printableLines(text)),
    call: async <Answer>(method: Method, path: string, body?: object) => {
      const answer = await callUnchanged<Answer>(method, path, body);
      return asJson ? answer : (printableAnswer(answer) as Answer);
    },
    callUnchanged,
  };
  const { data, text, failed = false } = await command.run(invocation);
  options.out(asJson ? printableJson(data) : printableLines(text));
  return failed ? 1 : 0;
}

function parse(
  command: Command,
  args: readonly string[],
): { values: Invocation['flags']; positionals: string[] } {
  const options: Record<string, ParseArgsOptionDescriptor> = {
    help: { type: 'boolean', short: 'h' },
    json: { type: 'boolean' },
  };
  for (const [name, { type }] of Object.entries(command.flags ?? {})) options[name] = { type };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { values: values as Invocation['flags'], positionals };
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** The command that the first one or two words name. A command of two words has precedence. */
function commandFor(args: readonly string[]): Command | null {
  const named = (length: number): Command | undefined =>
    commands.find((command) => command.name === args.slice(0, length).join(' '));
  return named(2) ?? named(1) ?? null;
}

function overview(): string {
  const width = Math.max(...commands.map((command) => synopsis(command).length));
  return [
    'Usage: tollgate COMMAND [--json] [--help]',
    '       tollgate --version',
    '',
    ...commands.map((command) => `  ${synopsis(command).padEnd(width)}  ${command.summary}`),
    '',
    'TOLLGATE_ADMIN_URL and TOLLGATE_ADMIN_TOKEN name the installation; without them the local stack of this folder',
    'is used. TOLLGATE_ACTOR is the actor in the audit trail (default: your user name).',
  ].join('\n');
}

function synopsis({ name, synopsis: operands }: Command): string {
  return operands === '' ? name : `${name} ${operands}`;
}

function helpOf(command: Command): string {
  const flags = { ...command.flags, json: { type: 'boolean', help: 'Print JSON.' } as const };
  return [
    `Usage: tollgate ${synopsis(command)}`,
    '',
    command.summary,
    '',
    ...Object.entries(flags).map(([name, { help }]) => `  --${name.padEnd(12)} ${help}`),
    ...(command.example === undefined ? [] : ['', `Example: tollgate ${command.example}`]),
  ].join('\n');
}
