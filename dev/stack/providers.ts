import { TollgateError } from '../../shared/runtime/errors.ts';

/** How a server of the stack is had: started from its package, in a container, or there already. */
export type Provider = 'native' | 'containers' | 'external';
export type ServerName = 'redis' | 'kafka' | 'clickhouse';

export const serverUrlVariables = {
  redis: 'REDIS_URL',
  kafka: 'KAFKA_BROKERS',
  clickhouse: 'CLICKHOUSE_URL',
} as const satisfies Record<ServerName, string>;

export type Providers = Readonly<Record<ServerName, Provider>>;

/**
 * `STACK` chooses for all three servers, a server's own URL makes it external whatever `STACK` says. Without either:
 * containers where an engine answers, native elsewhere. Throws `CONFIG_INVALID` for an unknown `STACK`, or for an
 * external one that lacks an address.
 */
export async function chooseProviders(
  env: NodeJS.ProcessEnv,
  engineAnswers: () => Promise<boolean>,
): Promise<Providers> {
  const named = names.filter((name) => (env[serverUrlVariables[name]] ?? '') !== '');
  const rest =
    named.length === names.length ? 'external' : await providerOf(env['STACK'] ?? '', engineAnswers);
  const absent = names.filter((name) => !named.includes(name));
  if (rest === 'external' && absent.length > 0) {
    const variables = absent.map((name) => serverUrlVariables[name]).join(', ');
    throw new TollgateError(
      'CONFIG_INVALID',
      `STACK=external needs the address of every server: set ${variables}`,
    );
  }
  const choose = (name: ServerName): Provider => (named.includes(name) ? 'external' : rest);
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
