import { expect, test } from 'vitest';
import { chooseProviders } from '../../../dev/stack/providers.ts';

const engine = (answers: boolean) => () => Promise.resolve(answers);
const all = (provider: string) => ({ redis: provider, kafka: provider, clickhouse: provider });

test('servers run in containers where an engine answers, natively elsewhere', async () => {
  expect(await chooseProviders({}, engine(true))).toEqual(all('containers'));
  expect(await chooseProviders({}, engine(false))).toEqual(all('native'));
});

test('STACK decides over the engine, and a server’s own address over STACK', async () => {
  expect(await chooseProviders({ STACK: 'native' }, engine(true))).toEqual(all('native'));
  expect(await chooseProviders({ STACK: 'containers', REDIS_URL: 'redis://r:1' }, engine(true))).toEqual({
    ...all('containers'),
    redis: 'external',
  });
  const every = { REDIS_URL: 'redis://r:1', KAFKA_BROKERS: 'k:1', CLICKHOUSE_URL: 'http://c:1' };
  expect(await chooseProviders(every, engine(false))).toEqual(all('external'));
});

test('an unknown STACK, or an external one without addresses, says what to set', async () => {
  await expect(chooseProviders({ STACK: 'docker' }, engine(true))).rejects.toThrow(
    /native, containers or external/,
  );
  await expect(
    chooseProviders({ STACK: 'external', REDIS_URL: 'redis://r:1' }, engine(true)),
  ).rejects.toThrow(/KAFKA_BROKERS, CLICKHOUSE_URL/);
});
