import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { startClickHouseServer } from '../../../dev/servers/clickhouse.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startKafkaServer } from '../../../dev/servers/kafka.ts';
import { startRedisServer } from '../../../dev/servers/redis.ts';
import type { ServerProcess } from '../../../dev/servers/server-process.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { startUpstream } from '../../faults/whole-path/load.ts';
import { serviceNames } from '../../../dev/stack/services.ts';
import { startServices } from '../../support/services.ts';
import { countRequests } from './drain.ts';
import { startLoad } from './load.ts';
import type { Load } from './load.ts';

const database = 'whole_path';
/** Number of tenants of the largest plan. It is so high that no request is refused. */
const tenants = Array.from({ length: 100 }, (_, index) => `big-${index}`);

export interface WholePath {
  readonly clickhouse: ClickHouse;
  /** Process ids by name. */
  readonly processes: ReadonlyMap<string, number>;
  load(requestsPerSecond: number): Promise<Load>;
  stop(): Promise<void>;
}

/** Starts all services and servers, each in its own process, with an upstream that responds at once. */
export async function startWholePath(dir: string, say: (line: string) => void): Promise<WholePath> {
  const redis = await startRedisServer({ dir: join(dir, 'redis'), port: await freePort(), say });
  const kafka = await startKafkaServer({ dir: join(dir, 'kafka'), port: await freePort(), say });
  const server = await startClickHouseServer({ dir: join(dir, 'clickhouse'), port: await freePort(), say });
  const upstream = await startUpstream();
  const secret = (): string => randomBytes(32).toString('hex');
  const jwtSecret = secret();
  const logger = createLogger('bench', 'silent');
  await ensureTopics(
    createKafka({ brokers: kafka.brokers, clientId: 'bench', logger }),
    topicsWith('tollgate.'),
    {
      partitions: 6,
    },
  );
  const installation = await startServices(serviceNames, {
    ...{ REDIS_URL: redis.url, KAFKA_BROKERS: kafka.brokers },
    ...{ CLICKHOUSE_URL: server.url, CLICKHOUSE_DATABASE: database },
    ...{ TOLLGATE_POLICY: 'policies/default.yaml', TOLLGATE_UPSTREAM: upstream.url },
    ...{ TOLLGATE_SPOOL_DIR: join(dir, 'spool'), TOLLGATE_NODE: 'bench', LOG_LEVEL: 'warn' },
    ...{ TOLLGATE_JWT_SECRET: jwtSecret, TOLLGATE_SERVICE_TOKEN: secret() },
    ...{ TOLLGATE_ADMIN_TOKEN: secret(), TOLLGATE_PORTAL_SECRET: secret() },
  });
  const clickhouse = createClickHouse({ url: server.url, database });
  const running: [string, ServerProcess][] = [
    ['Redis', redis],
    ['Kafka', kafka],
    ['ClickHouse', server],
  ];
  return {
    clickhouse,
    processes: new Map([
      ...serviceNames.map((name) => [name, installation.service(name).pid()] as const),
      ...running.map(([name, { pid }]) => [name, pid] as const),
    ]),
    load: (requestsPerSecond) =>
      startLoad({ url: installation.urls.gateway, jwtSecret, tenants, requestsPerSecond }),
    async stop() {
      await clickhouse.close();
      await installation.stop();
      upstream.close();
      for (const [, process] of running) await process.stop();
    },
  };
}

export interface Freshness {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly responses: number;
  /** The rate at which requests were sent. On a busy machine it may be below the scheduled rate. */
  readonly perSecond: number;
  /** Responses with a status other than 200, as `3 × 502`. */
  readonly others: string;
  readonly unanswered: number;
}

/** A phrase about the responses of a run, for its report. */
export function describeResponses({ responses, others, unanswered }: Freshness): string {
  return `${responses.toLocaleString('en')} responses, other than 200: ${others}, ${unanswered} requests without a response`;
}

const queryIntervalMs = 50;
const settleMs = 60_000;

/**
 * Sends load for `seconds`. Regularly notes the number of responses so far, and queries the number of requests in the
 * totals. Returns, for each response, the milliseconds from the note that first includes it until the totals contain
 * the noted number of requests.
 */
export async function loadAndWatch(path: WholePath, rate: number, seconds: number): Promise<Freshness> {
  const before = await countRequests(path.clickhouse);
  const load = await path.load(rate);
  const waiting: { readonly total: number; readonly atMs: number; readonly size: number }[] = [];
  const delays: number[] = [];
  let noted = 0;
  const note = (): void => {
    const total = load.responses();
    if (total > noted) waiting.push({ total, atMs: performance.now(), size: total - noted });
    noted = total;
  };
  const noting = setInterval(note, 10);
  const endMs = performance.now() + seconds * 1000;
  let loading = true;
  let unanswered = 0;
  while (loading || (waiting.length > 0 && performance.now() < endMs + settleMs)) {
    await new Promise((resolve) => setTimeout(resolve, queryIntervalMs));
    const visible = (await countRequests(path.clickhouse)) - before;
    const nowMs = performance.now();
    while ((waiting[0]?.total ?? Infinity) <= visible) {
      const { atMs, size } = waiting.shift() ?? { atMs: nowMs, size: 0 };
      for (let one = 0; one < size; one += 1) delays.push(nowMs - atMs);
    }
    if (loading && nowMs >= endMs) {
      loading = false;
      unanswered = await load.stop();
      clearInterval(noting);
      note();
    }
  }
  if (waiting.length > 0) throw new Error(`The totals lacked responses ${settleMs} ms after the load.`);
  delays.sort((a, b) => a - b);
  const at = (share: number): number =>
    delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? NaN;
  return {
    ...{ p50: at(0.5), p99: at(0.99), max: at(1) },
    ...{
      responses: load.responses(),
      perSecond: load.responses() / seconds,
      others: [...load.others()].map(([status, count]) => `${count} × ${status}`).join(', ') || 'none',
      unanswered,
    },
  };
}
