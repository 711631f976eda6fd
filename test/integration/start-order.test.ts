// Goal: the order in which an installation starts does not matter. Each service waits for each server it uses, logs
// once which server it waits for, and works within seconds after the server starts. Method: run every service as a
// process; the address of one server refuses connections until the test starts that server.
import { beforeAll, expect, test } from 'vitest';
import { pino } from 'pino';
import { createClickHouse } from '../../shared/clickhouse/client.ts';
import { migrate } from '../../shared/clickhouse/migrate.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { createLateServer } from '../faults/start/late-server.ts';
import { passing } from '../faults/whole-path/faults.ts';
import { eventually, servers, uniqueNamespace } from '../support/servers.ts';
import type { Namespace } from '../support/servers.ts';
import { launchService } from '../support/services.ts';
import type { ServiceName } from '../../dev/stack/services.ts';

type ServerName = 'redis' | 'kafka' | 'clickhouse';

/** How long the server is missing: long enough for several retries of every client. */
const awayMs = 7_000;

const uses: Readonly<Record<ServiceName, readonly ServerName[]>> = {
  gateway: ['redis', 'kafka', 'clickhouse'],
  aggregator: ['kafka', 'clickhouse'],
  reconciler: ['redis', 'kafka', 'clickhouse'],
  alerter: ['kafka', 'clickhouse'],
  admin: ['redis', 'kafka', 'clickhouse'],
  console: ['redis', 'kafka', 'clickhouse'],
};
const table = Object.entries(uses).flatMap(([service, used]) =>
  used.map((server) => ({ service: service as ServiceName, server })),
);

let names: Namespace;
beforeAll(async () => {
  names = uniqueNamespace();
  const kafka = createKafka({
    brokers: servers().kafkaBrokers,
    clientId: 'test',
    logger: pino({ level: 'silent' }),
  });
  await ensureTopics(kafka, topicsWith(names.topicPrefix), { partitions: 1 });
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: names.database });
  await migrate(clickhouse);
  await clickhouse.close();
});

/** Returns the log lines that occur more than once when their times and numbers are ignored. */
function repeated(log: string): string[] {
  const counts = new Map<string, number>();
  for (const text of log.split('\n').filter((line) => line.startsWith('{'))) {
    const line = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const key = JSON.stringify({ ...line, time: '' }).replaceAll(/\d+/g, '');
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > 1).map(([line, count]) => `${count} × ${line}`);
}

test.concurrent.each(table)(
  '$service waits for $server, says so once, and works once it is there',
  async ({ service, server }) => {
    const real = servers();
    const portOf: Readonly<Record<ServerName, number>> = {
      redis: Number(new URL(real.redisUrl).port),
      kafka: Number(real.kafkaBrokers.split(':')[1]),
      clickhouse: Number(new URL(real.clickhouseUrl).port),
    };
    const late = await createLateServer(portOf[server]);
    const address = `127.0.0.1:${late.port}`;
    const started = await launchService(service, {
      REDIS_URL: server === 'redis' ? `redis://${address}` : real.redisUrl,
      KAFKA_BROKERS: server === 'kafka' ? address : real.kafkaBrokers,
      CLICKHOUSE_URL: server === 'clickhouse' ? `http://${address}` : real.clickhouseUrl,
      CLICKHOUSE_DATABASE: names.database,
      TOLLGATE_TOPIC_PREFIX: names.topicPrefix,
      TOLLGATE_KEY_PREFIX: `${names.keyPrefix}${service}${server}`,
      TOLLGATE_JWT_SECRET: 'j'.repeat(32),
      TOLLGATE_SERVICE_TOKEN: 's'.repeat(32),
      TOLLGATE_ADMIN_TOKEN: 'a'.repeat(32),
      TOLLGATE_PORTAL_SECRET: 'p'.repeat(32),
    });
    const readiness = async (): Promise<string> => (await fetch(`${started.opsUrl}/readyz`)).text();
    try {
      await eventually(async () => (await readiness()).includes(server), { intervalMs: 100 });
      await passing(awayMs);
      expect(await readiness()).toContain(server);
      expect(started.log().toLowerCase()).toContain(server);
      expect(repeated(started.log())).toEqual([]);
      await late.come();
      const cameAt = performance.now();
      await eventually(
        async () => {
          const answer = await readiness();
          expect(answer).toBe('{"ready":true,"waiting_for":[]}');
          return true;
        },
        { intervalMs: 50 },
      );
      console.log(`${service}: ready ${Math.round(performance.now() - cameAt)} ms after ${server}`);
    } catch (error) {
      throw new Error(`${service} without ${server}: ${String(error)}\n${started.log().slice(-6_000)}`, {
        cause: error,
      });
    } finally {
      await started.stop();
      late.close();
    }
  },
);
