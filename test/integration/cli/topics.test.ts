import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { servers, uniqueNamespace } from '../../support/servers.ts';
import { processEnvironment } from '../../support/services.ts';
import { kafkaAt } from '../kafka/connection.ts';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `tollgate topics create` as a process that has only these environment variables. */
function createTopics(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> {
  return runCommand(['topics', 'create', ...args], env);
}

async function runCommand(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> {
  const child = spawn(process.execPath, [resolve('services/cli/main.ts'), ...args], {
    env: { ...processEnvironment, ...env },
  });
  const texts = { out: '', err: '' };
  child.stdout.on('data', (chunk: Buffer) => void (texts.out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (texts.err += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

async function partitionsOf(topics: readonly string[]): Promise<Readonly<Record<string, number>>> {
  const connection = kafkaAt(servers().kafkaBrokers).open();
  const admin = connection.client.admin();
  await admin.connect();
  const { topics: found } = await admin.fetchTopicMetadata({ topics: [...topics] });
  connection.destroy();
  return Object.fromEntries(found.map(({ name, partitions }) => [name, partitions.length]));
}

test('topics create creates the missing topics and names them; a second run changes nothing', async () => {
  const { topicPrefix } = uniqueNamespace();
  const topics = topicsWith(topicPrefix);
  const names = Object.values<string>({ ...topics });
  const env = { KAFKA_BROKERS: servers().kafkaBrokers, TOLLGATE_TOPIC_PREFIX: topicPrefix };
  const first = await createTopics(['--partitions', '4', '--replication-factor', '1'], env);
  expect(first).toMatchObject({ code: 0, err: '' });
  expect(first.out).toBe(names.map((name) => `created  ${name}\n`).join(''));
  expect(await partitionsOf(names)).toMatchObject({ [topics.usage]: 4, [topics.tenants]: 1 });
  const second = await createTopics(['--partitions', '9', '--replication-factor', '1', '--json'], env);
  expect(second).toMatchObject({ code: 0, err: '' });
  expect(JSON.parse(second.out)).toEqual({ created: [], existing: names });
  expect(await partitionsOf(names)).toMatchObject({ [topics.usage]: 4 });
});

test('topics create says what is missing: brokers for the replicas, Kafka itself, or a variable', async () => {
  const { topicPrefix } = uniqueNamespace();
  const env = { KAFKA_BROKERS: servers().kafkaBrokers, TOLLGATE_TOPIC_PREFIX: topicPrefix };
  const replicas = await createTopics([], env);
  expect(replicas).toMatchObject({ code: 1, out: '' });
  expect(replicas.err).toContain('A replication factor of 3 needs 3 brokers; Kafka has 1.');
  const noKafka = await createTopics([], { ...env, KAFKA_BROKERS: '127.0.0.1:1' });
  expect(noKafka).toMatchObject({ code: 1, out: '' });
  expect(noKafka.err).toContain('127.0.0.1:1');
  const variable = await createTopics([], { ...env, KAFKA_SASL_MECHANISM: 'plain' });
  expect(variable).toMatchObject({ code: 1, out: '' });
  expect(variable.err).toContain('KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD');
});

test.each([
  ['--partitions', '0'],
  ['--partitions', 'many'],
  ['--replication-factor', '-1'],
])('topics create %s=%s is refused before Kafka is called', async (flag, value) => {
  const ran = await createTopics([`${flag}=${value}`], { KAFKA_BROKERS: '127.0.0.1:1' });
  expect(ran).toMatchObject({ code: 2, out: '' });
  expect(ran.err).toContain(`${flag} is a whole number`);
});

test('tables create migrates an empty database; a second run changes nothing', async () => {
  const { database } = uniqueNamespace();
  const env = { CLICKHOUSE_URL: servers().clickhouseUrl, CLICKHOUSE_DATABASE: database };
  const first = await runCommand(['tables', 'create'], env);
  expect(first).toMatchObject({ code: 0, err: '' });
  expect(first.out).toContain('migrated  001_events.sql');
  const second = await runCommand(['tables', 'create', '--json'], env);
  expect(second).toMatchObject({ code: 0, err: '' });
  expect(JSON.parse(second.out)).toEqual({ migrated: [] });
});
