import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareCall } from '../../../services/gateway/usage/prepare-call.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import type { ClickHouse } from '../../../shared/clickhouse/client.ts';
import { amountsOf } from '../../../shared/domain/usage/prices.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';
import { kafkaAt } from '../../integration/kafka/connection.ts';
import { startSampleApi } from '../../support/sample-api.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { eventually, servers, startRedis, uniqueNamespace } from '../../support/servers.ts';
import { startServices } from '../../support/services.ts';
import type { Installation, RunningService } from '../../support/services.ts';
import { signToken } from '../whole-path/load.ts';

/** Two gateways with their own spools before the sample API, an aggregator, and a Redis that a test can kill. */
export interface BudgetInstallation {
  /** What the budget of a tenant allows, and what each call reserves, in millionths of a usd. */
  readonly budget: number;
  readonly reserved: number;
  readonly gateways: readonly BudgetGateway[];
  readonly redis: Awaited<ReturnType<typeof startRedis>>;
  readonly sampleApi: SampleApi;
  readonly clickhouse: ClickHouse;
  readonly jwtSecret: string;
  readonly serviceToken: string;
  stop(): Promise<void>;
}

export interface BudgetGateway {
  readonly urls: Installation['urls'];
  readonly service: RunningService;
}

/** Each call sends this body: the largest output is 60 tokens. */
export const callBody = JSON.stringify({
  model: 'small-1',
  stream: true,
  max_tokens: 60,
  messages: [{ role: 'user', content: 'Describe how usage of an API is metered.' }],
});

/** Prices of a million tokens, with digits below the millionth of a usd to which an amount is rounded. */
export const prices = { input: 3_330_000n, cached: 333_000n, output: 15_150_000n };

const inUsd = (price: bigint): string => (Number(price) / 1_000_000).toString();

function policyText(budget: number): string {
  return `version: 1
links: { documentation: https://docs.example.com/limits, upgrade: https://example.com/pricing }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id, user: sub, plan: tier }
  anonymous: reject
quantities: { tokens: { sum: [input_tokens, output_tokens] }, usd: { cost: true, decimals: 6 } }
prices:
  - { model: "small*", per: 1000000, input_tokens: ${inUsd(prices.input)}, cached_input_tokens: ${inUsd(prices.cached)}, output_tokens: ${inUsd(prices.output)} }
default_plan: free
plans:
  free:
    limits:
      - { name: tokens, of: tokens, per: tenant, limit: 100000000, window: 1h }
      - { name: spend, of: usd, per: tenant, limit: ${budget / 1_000_000}, window: 1mo, type: quota }
routes:
  - match: POST /v1/chat/completions
    usage: { format: openai_chat }
    reserve: { output_tokens: 60, expires: 1s }
services: [{ name: app, token_env: TOLLGATE_SERVICE_TOKEN }]
`;
}

/** Starts everything with a budget for `calls` calls of each tenant. */
export async function startBudgets(calls: number): Promise<BudgetInstallation> {
  const [jwtSecret, serviceToken] = [randomBytes(32).toString('hex'), randomBytes(16).toString('hex')];
  const secrets = { TOLLGATE_JWT_SECRET: jwtSecret, TOLLGATE_SERVICE_TOKEN: serviceToken };
  const reserved = await reservedByCall(secrets);
  const budget = reserved * calls;
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-budgets-'));
  const policyPath = join(dir, 'policy.yaml');
  await writeFile(policyPath, policyText(budget));
  const { topicPrefix, database, keyPrefix } = uniqueNamespace();
  await ensureTopics(kafkaAt(servers().kafkaBrokers), topicsWith(topicPrefix), { partitions: 3 });
  const [redis, sampleApi] = await Promise.all([startRedis({ durable: true }), startSampleApi()]);
  const common = {
    ...{ REDIS_URL: redis.url, KAFKA_BROKERS: servers().kafkaBrokers },
    ...{ CLICKHOUSE_URL: servers().clickhouseUrl, CLICKHOUSE_DATABASE: database },
    ...{ TOLLGATE_TOPIC_PREFIX: topicPrefix, TOLLGATE_KEY_PREFIX: keyPrefix },
    ...{ TOLLGATE_POLICY: policyPath, TOLLGATE_UPSTREAM: sampleApi.url, LOG_LEVEL: 'warn', ...secrets },
    // On a busy machine, a shorter time would make nodes decide without Redis although it runs.
    ...{ TOLLGATE_REDIS_TIMEOUT_MS: '1000' },
  };
  const installations = await Promise.all(
    ['first', 'second'].map((node) =>
      startServices(node === 'first' ? ['aggregator', 'gateway'] : ['gateway'], {
        ...common,
        ...{ TOLLGATE_NODE: node, TOLLGATE_SPOOL_DIR: join(dir, node) },
      }),
    ),
  );
  const gateways = installations.map(({ urls, service }) => ({ urls, service: service('gateway') }));
  await eventually(() => eachCountsTwoNodes(gateways), { timeoutMs: 60_000 });
  await Promise.all(gateways.map(({ urls }) => warmUp(urls.gateway, jwtSecret)));
  const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
  return {
    ...{ budget, reserved, gateways, redis, sampleApi, clickhouse, jwtSecret, serviceToken },
    stop: async () => {
      await clickhouse.close();
      await Promise.all(installations.map((installation) => installation.stop()));
      await Promise.all([redis.dispose(), sampleApi.stop()]);
      await rm(dir, { recursive: true });
    },
  };
}

/** Returns what the gateway reserves for `callBody`. */
async function reservedByCall(secrets: Readonly<Record<string, string>>): Promise<number> {
  const policy = parsePolicy('budgets.yaml', policyText(1_000_000), secrets);
  const route = policy.routes[0];
  if (route === undefined || route.usage === null)
    throw new Error('the policy has no route whose usage is read');
  const body = { bytes: Buffer.from(callBody), coding: '', bytesMax: 65_536 };
  const preparation = await prepareCall(route.usage.format, body, route.reserve);
  if (!('call' in preparation)) throw new Error(preparation.violation.message);
  const { model, estimate } = preparation.call;
  const usd = amountsOf(policy, model, estimate)?.amounts['usd'];
  if (usd === undefined) throw new Error('the policy has no price for the call');
  return usd;
}

/** Sends a call of another tenant and model, so that the first calls of the test are as fast at each gateway. */
async function warmUp(gatewayUrl: string, jwtSecret: string): Promise<void> {
  const response = await fetch(`${gatewayUrl}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await signToken('warm-up', jwtSecret)}`,
      'content-type': 'application/json',
    },
    body: callBody.replace('small-1', 'small-2'),
  });
  if (!response.ok) throw new Error(`the first call was answered with ${response.status}`);
  await response.text();
}

/** Without Redis, a gateway divides limits by the number of nodes that it has last read from Redis. */
async function eachCountsTwoNodes(gateways: readonly BudgetGateway[]): Promise<boolean> {
  const counts = await Promise.all(
    gateways.map(async ({ service }) => {
      const metrics = await (await fetch(`${service.opsUrl}/metrics`)).text();
      return Number(/^tollgate_nodes_live(?:\{[^}]*\})? (\d+)$/m.exec(metrics)?.[1]);
    }),
  );
  return counts.every((count) => count === 2);
}
