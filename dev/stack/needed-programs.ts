import { installPrograms } from '../packages.ts';
import type { Program, Say } from '../packages.ts';
import { hasKafkaLibraries } from '../servers/kafka-libraries.ts';
import type { Providers } from './providers.ts';

/**
 * Installs the programs of the servers that run natively. Throws `SERVER_MISSING` with all missing programs at once if
 * this user may not install programs.
 */
export async function installNeededPrograms(providers: Providers, say: Say): Promise<void> {
  await installPrograms(await neededPrograms(providers, hasKafkaLibraries), say);
}

export async function neededPrograms(
  { redis, kafka }: Providers,
  hasLibraries: () => Promise<boolean>,
): Promise<Program[]> {
  return [
    ...(redis === 'native' ? (['redis-server'] as const) : []),
    ...(kafka === 'native' ? (['java'] as const) : []),
    ...(kafka === 'native' && !(await hasLibraries()) ? (['mvn'] as const) : []),
  ];
}
