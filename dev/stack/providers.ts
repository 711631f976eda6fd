import { TollgateError } from '../../shared/runtime/errors.ts';

/** Source of a server of the stack: a package of this machine, a container, or a running server. */
export type Provider = 'native' | 'containers' | 'external';
export type ServerName = 'redis' | 'kafka' | 'clickhouse';

export const serverUrlVariables = {
  redis: 'REDIS_URL',
  kafka: 'KAFKA_BROKERS',
  clickhouse: 'CLICKHOUSE_URL',
} as const satisfies Record<ServerName, string>;

export type Providers = Readonly<Record<ServerName, Provider>>;

/**
 * `STACK` chooses the provider of all three servers; the URL of a server makes that server external in any case. Without
 * both: containers if an engine responds, else native. Throws `CONFIG_INVALID` for an unknown `STACK`, and for
 * `STACK=external` without all addresses.
 */
export async function chooseProviders(
  env: NodeJS.ProcessEnv,
  engineAnswers: () => Promise<boolean>,
): Promise<Providers> {
  const named = names.filter((name) => (env[serverUrlVariables[name]] ?? '') !== '');
  const others =
    named.length === names.length ? 'external' : await providerOf(env['STACK'] ?? '', engineAnswers);
  const absent = names.filter((name) => !named.includes(name));
  if (others === 'external' && absent.length > 0) {
    const variables = absent.map((name) => serverUrlVariables[name]).join(', ');
    throw new TollgateError(
      'CONFIG_INVALID',
      `STACK=external needs the address of every server: set ${variables}`,
    );
  }
  const choose = (name: ServerName): Provider => (named.includes(name) ? 'external' : others);
  return { redis: choose('redis'), kafka: choose('kafka'), clickhouse: choose('clickhouse') };
}

const names = ['redis', 'kafka', 'clickhouse'] as const;

async function providerOf(stack: string, engineAnswers: () => Promise<boolean>): Promise<Provider> {
  if (stack === 'native' || stack === 'containers' || stack === 'external') return stack;
  if (stack !== '') {
    throw new TollgateError(
      'CONFIG_INVALID',
      `STACK is native, containers or external, not ${JSON.stringify(stack)}`,
    );
  }
  return (await engineAnswers()) ? 'containers' : 'native';
}
