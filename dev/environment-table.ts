import type { TObject, TSchema } from 'typebox';
import { environment as admin } from '../services/admin/environment.ts';
import { environment as aggregator } from '../services/aggregator/environment.ts';
import { environment as alerter } from '../services/alerter/environment.ts';
import { clickHouseEnvironment, environment as cli, kafkaEnvironment } from '../services/cli/environment.ts';
import { environment as console } from '../services/console/environment.ts';
import { environment as gateway } from '../services/gateway/environment.ts';
import { environment as reconciler } from '../services/reconciler/environment.ts';

/**
 * Schemas of the processes, in the order of the table's columns. `topics create` and `tables create` have columns of
 * their own, because they are the only commands that connect to Kafka and to ClickHouse.
 */
const schemas: readonly (readonly [string, TObject])[] = [
  ['gateway', gateway],
  ['aggregator', aggregator],
  ['reconciler', reconciler],
  ['alerter', alerter],
  ['admin', admin],
  ['console', console],
  ['cli', cli],
  ['cli (`topics create`)', kafkaEnvironment],
  ['cli (`tables create`)', clickHouseEnvironment],
];

const services = schemas.map(([reader]) => reader).filter((reader) => !reader.startsWith('cli'));

/** Variables that hold secrets. The policy files of this repository name them (`secret_env`, `token_env`). */
const secretsOfPolicy: readonly Row[] = [
  { name: 'TOLLGATE_JWT_SECRET', meaning: 'Secret that verifies tokens of tenants; 32 bytes or more.' },
  { name: 'TOLLGATE_SERVICE_TOKEN', meaning: 'Token of internal services; 32 bytes or more.' },
].map(({ name, meaning }) => ({
  name,
  defaults: 'named by the policy',
  readers: 'gateway, reconciler, alerter, admin, console',
  meaning,
}));

interface Row {
  readonly name: string;
  readonly defaults: string;
  readonly readers: string;
  readonly meaning: string;
}

interface Use {
  readonly reader: string;
  readonly byDefault: string;
  readonly meaning: string;
}

/** Markdown table of all environment variables. A unit test compares it with the table in docs/design.md. */
export function environmentTable(): string {
  const rows = [...variables().map(([name, uses]) => rowOf(name, uses)), ...secretsOfPolicy];
  return [
    '| variable | default | read by | meaning |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      ({ name, defaults, readers, meaning }) => `| \`${name}\` | ${defaults} | ${readers} | ${meaning} |`,
    ),
  ].join('\n');
}

/** The processes that read each variable. Variables that many processes read come first. */
function variables(): [string, Use[]][] {
  const uses = new Map<string, Use[]>();
  for (const [reader, schema] of schemas) {
    for (const [name, variable] of Object.entries(schema.properties)) {
      const use = {
        reader,
        byDefault: defaultOf(schema, name, variable),
        meaning: meaningOf(name, variable),
      };
      uses.set(name, [...(uses.get(name) ?? []), use]);
    }
  }
  return [...uses].sort(([, a], [, b]) => b.length - a.length);
}

function rowOf(name: string, uses: readonly Use[]): Row {
  return {
    name,
    defaults: merged(uses, ({ byDefault }) => byDefault, '; '),
    readers: readersOf(uses),
    meaning: merged(uses, ({ meaning }) => meaning, ' '),
  };
}

function readersOf(uses: readonly Use[]): string {
  const names = uses.map(({ reader }) => reader);
  const others = names.filter((name) => !services.includes(name));
  return names.length - others.length === services.length
    ? ['all services', ...others].join(', ')
    : names.join(', ');
}

/** The value if it is the same for all processes; otherwise each different value with the processes that have it. */
function merged(uses: readonly Use[], valueOf: (use: Use) => string, separator: string): string {
  const readers = new Map<string, string[]>();
  for (const use of uses) readers.set(valueOf(use), [...(readers.get(valueOf(use)) ?? []), use.reader]);
  const values = [...readers];
  if (values.length === 1) return values[0]?.[0] ?? '';
  return values.map(([value, names]) => `${names.join(', ')}: ${value}`).join(separator);
}

function defaultOf(schema: TObject, name: string, variable: TSchema): string {
  const { default: byDefault } = variable as { readonly default?: string | number | boolean };
  // TypeBox omits `required` from a schema in which all variables are optional.
  const { required = [] } = schema as { readonly required?: readonly string[] };
  if (byDefault === undefined) return required.includes(name) ? 'required' : 'none';
  return byDefault === '' ? 'empty' : `\`${String(byDefault)}\``;
}

function meaningOf(name: string, variable: TSchema): string {
  const { description } = variable as { readonly description?: string };
  if (description === undefined) throw new Error(`${name} has no description`);
  return description.replaceAll('|', '\\|');
}

/** `node dev/environment-table.ts` prints the table. */
if (import.meta.main) process.stdout.write(`${environmentTable()}\n`);
