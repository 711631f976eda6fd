import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from '../../dev/servers/free-port.ts';
import { startKafkaServer } from '../../dev/servers/kafka.ts';
import { startRedisServer } from '../../dev/servers/redis.ts';
import { ensureTopics } from '../../shared/kafka/ensure-topics.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { signToken } from '../faults/whole-path/load.ts';
import { median, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { unreachableLimit } from './decision/contenders.ts';
import {
  cpuSecondsOf,
  otherCore,
  pinToCore,
  pinToOtherCore,
  pinned,
  runWrk,
  serverCore,
} from './decision/processes.ts';
import { createUndisturbed } from './decision/undisturbed.ts';
import { newSecret, startGatewayWith } from './metered/processes.ts';
import { startNginxProxy, startUpstream } from './proxy/nginx.ts';

/** The gateway as a proxy, compared with a bare proxy of Fastify and undici, and with nginx. */
export const bench: Bench = {
  name: 'proxy',
  title: 'The gateway as a proxy',
  isPartOfTable: true,
  async run(options) {
    const { dir, say } = options;
    const stops: (() => Promise<unknown>)[] = [];
    try {
      const redis = await startRedisServer({ dir: join(dir, 'redis'), port: await freePort(), say });
      stops.push(() => redis.stop());
      const kafka = await startKafkaServer({ dir: join(dir, 'kafka'), port: await freePort(), say });
      stops.push(() => kafka.stop());
      const upstream = await startUpstream(dir, otherCore, say);
      stops.push(() => upstream.stop());
      for (const { pid } of [redis, kafka]) pinToOtherCore(pid);
      await createTopics(kafka.brokers);
      const servers = { redisUrl: redis.url, brokers: kafka.brokers, upstreamPort: upstream.port };
      const proxies = await startProxies({ ...servers, jwtSecret: newSecret() }, options);
      stops.push(...proxies.map(({ stop }) => stop));
      return await compare(proxies, options);
    } finally {
      for (const stop of stops.reverse()) await stop();
    }
  },
};

interface Proxy {
  readonly name: 'gateway' | 'fastify' | 'nginx';
  readonly port: number;
  /** Lua code that adds the requests of the load. */
  readonly requests: string;
  readonly cpuSeconds: () => number;
  readonly stop: () => Promise<unknown>;
}

const policy = `version: 1
links: { documentation: https://docs.example.com, upgrade: https://example.com }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id, user: sub }
  anonymous: reject
default_plan: bench
plans:
  bench:
    limits:
      - { name: minute, per: tenant, limit: ${unreachableLimit}, window: 1m }
      - { name: hour, per: tenant, limit: ${unreachableLimit}, window: 1h }
      - { name: day, per: tenant, limit: ${unreachableLimit}, window: 1d, type: quota }
platform:
  limits: [{ name: platform, per: global, type: concurrent, limit: 1000 }]
`;

async function createTopics(brokers: string): Promise<void> {
  const connection = createKafka({ brokers, clientId: 'bench', logger: createLogger('bench', 'silent') });
  await ensureTopics(connection, topicsWith('tollgate.'), { partitions: 6 });
}

async function startProxies(
  servers: Parameters<typeof startGatewayWith>[1],
  { dir, say }: BenchOptions,
): Promise<Proxy[]> {
  const tenants = Array.from({ length: 100 }, (_, index) => `tenant-${index}`);
  const tokens = await Promise.all(tenants.map((tenant) => signToken(tenant, servers.jwtSecret)));
  // Every proxy gets the same requests.
  const requests = tokens
    .map((token) => `add(wrk.format('GET', '/v1/things', { authorization = 'Bearer ${token}' }))`)
    .join('\n');
  const gateway = await startGatewayWith(policy, servers, join(dir, 'gateway'));
  pinToCore(serverCore, gateway.pid);
  const script = join(import.meta.dirname, 'proxy/fastify-proxy.ts');
  const [command, args] = pinned(serverCore, process.execPath, [script, String(servers.upstreamPort)]);
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const nginx = await startNginxProxy(servers.upstreamPort, dir, serverCore, say);
  return [
    {
      name: 'gateway',
      port: gateway.port,
      requests,
      cpuSeconds: () => gateway.cpuSeconds(),
      stop: () => gateway.stop(),
    },
    {
      ...{ name: 'fastify', port: Number(line.toString()), requests },
      cpuSeconds: () => cpuSecondsOf(child.pid ?? 0),
      stop: () => (child.stdin.end(), once(child, 'exit')),
    },
    {
      name: 'nginx',
      port: nginx.port,
      requests,
      cpuSeconds: () => nginx.cpuSeconds(),
      stop: () => nginx.stop(),
    },
  ];
}

interface Measured {
  readonly rate: number;
  readonly micros: number;
}

async function compare(
  proxies: readonly Proxy[],
  { dir, quick, waits, say, record }: BenchOptions,
): Promise<string> {
  const [rounds, seconds] = quick ? [1, 1] : [4, 4];
  const undisturbed = createUndisturbed(serverCore, waits);
  const measured: Record<Proxy['name'], Measured[]> = { gateway: [], fastify: [], nginx: [] };
  for (const { port, requests } of proxies) await runWrk(port, quick ? 1 : 3, dir, requests);
  for (let round = 0; round < rounds; round += 1) {
    // Every other round runs in reverse order, so that a machine that slows down favours no proxy.
    for (const proxy of round % 2 === 0 ? proxies : proxies.toReversed()) {
      const { before, rate } = await undisturbed.measure(proxy, async () => {
        const usedSeconds = proxy.cpuSeconds();
        return { before: usedSeconds, rate: await runWrk(proxy.port, seconds, dir, proxy.requests) };
      });
      // The gateway sends its last events.
      await new Promise((resolve) => setTimeout(resolve, 500));
      const micros = ((proxy.cpuSeconds() - before) * 1e6) / (rate * seconds);
      measured[proxy.name].push({ rate, micros });
      say(`  ${proxy.name}: ${rate.toFixed(0)}/s`);
    }
  }
  const ratio = (other: Proxy['name']): number =>
    median(measured.gateway.map(({ rate }, round) => rate / (measured[other][round]?.rate ?? NaN)));
  const micros = (name: Proxy['name']): number => median(measured[name].map((one) => one.micros));
  record('proxyToFastify', ratio('fastify'));
  record('proxyToNginx', ratio('nginx'));
  record('proxyMicros', micros('gateway'));
  const row = (label: string, name: Proxy['name']): string[] => [
    label,
    median(measured[name].map(({ rate }) => rate)).toFixed(0),
    ratio(name).toFixed(2),
    micros(name).toFixed(1),
  ];
  return [
    'A closed loop of 32 connections that send GET requests of a hundred tenants; each proxy on one core; upstream (nginx), Redis, ' +
      `Kafka and load (wrk) on the other; ${rounds} interleaved rounds, medians. The gateway verifies a token, decides three ` +
      'windows, sets all headers and writes an event for each request; the other proxies only forward.',
    table(
      ['proxy', 'requests/s', 'gateway ÷ this', 'CPU µs a request'],
      [
        row('Tollgate’s gateway', 'gateway'),
        row('bare Fastify and undici', 'fastify'),
        row('nginx, one worker', 'nginx'),
      ],
    ),
    undisturbed.report(),
  ].join('\n\n');
}
