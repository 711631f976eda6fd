import { TollgateError } from '../../shared/runtime/errors.ts';

/**
 * Where a server of the stack comes from: a program on this machine, a container, or a server that is already
 * running.
 */
export type Provider = 'native' | 'containers' | 'external';
export type ServerName = 'redis' | 'kafka' | 'clickhouse';

export const serverUrlVariables = {
  redis: 'REDIS_URL',
  kafka: 'KAFKA_BROKERS',
  clickhouse: 'CLICKHOUSE_URL',
} as const satisfies Record<ServerName, string>;

export type Providers = Readonly<Record<ServerName, Provider>>;

/**
 * Chooses the provider of each of the three servers. `STACK` selects one provider for all. A server whose URL is set
 * is external in any case. If neither is set, containers are used if a container engine responds, otherwise native
 * programs. Throws `CONFIG_INVALID` if `STACK` is unknown, and if `STACK=external` is set without all three URLs.
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
