import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../../dev/servers/free-port.ts';
import { eventually } from '../../support/servers.ts';
import { cpuSecondsOf } from '../decision/processes.ts';

export interface Memory {
  /** Heap and external memory in use after a garbage collection. */
  readonly usedBytes: number;
  readonly rssBytes: number;
}

export interface RunningGateway {
  readonly port: number;
  readonly pid: number;
  /** CPU time of the process. */
  cpuSeconds(): number;
  memory(): Promise<Memory>;
  stop(): Promise<void>;
}

export interface GatewayServers {
  readonly redisUrl: string;
  readonly brokers: string;
  readonly upstreamPort: number;
  readonly jwtSecret: string;
}

/** The same policy with and without `usage` of the route: without it, only the limit of requests applies. */
function policyText(readsUsage: boolean): string {
  return `version: 1
links: { documentation: https://docs.example.com, upgrade: https://example.com }
identity:
  jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET, tenant: tenant_id, user: sub }
  anonymous: reject
quantities: { tokens: { sum: [input_tokens, output_tokens] }, usd: { cost: true, decimals: 6 } }
prices: [{ model: "*", per: 1000000, input_tokens: 0.15, output_tokens: 0.6 }]
default_plan: bench
plans:
  bench:
    limits:
      - { name: minute, per: tenant, limit: 10000000, window: 1m }
      - { name: tokens, of: tokens, per: tenant, limit: 100000000000, window: 1m }
      - { name: spend, of: usd, per: tenant, limit: 1000000, window: 1mo, type: quota }
routes:
  - match: POST /v1/chat/completions${readsUsage ? '\n    usage: { format: openai_chat }' : ''}
`;
}

export function startGateway(
  readsUsage: boolean,
  servers: GatewayServers,
  dir: string,
): Promise<RunningGateway> {
  return startGatewayWith(policyText(readsUsage), servers, dir);
}

export async function startGatewayWith(
  policy: string,
  { redisUrl, brokers, upstreamPort, jwtSecret }: GatewayServers,
  dir: string,
): Promise<RunningGateway> {
  const [port, api, rls, ops] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const name = `gateway-${port}`;
  const policyPath = join(dir, `${name}.yaml`);
  await mkdir(dir, { recursive: true });
  await writeFile(policyPath, policy);
  const child = fork(join(import.meta.dirname, 'gateway.ts'), {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {
      PATH: process.env['PATH'],
      ...{
        HOST: '127.0.0.1',
        PORT: String(port),
        API_PORT: String(api),
        RLS_PORT: String(rls),
        OPS_PORT: String(ops),
      },
      ...{ REDIS_URL: redisUrl, KAFKA_BROKERS: brokers, CLICKHOUSE_URL: 'http://127.0.0.1:1' },
      ...{ TOLLGATE_POLICY: policyPath, TOLLGATE_UPSTREAM: `http://127.0.0.1:${upstreamPort}` },
      ...{ TOLLGATE_SPOOL_DIR: join(dir, name), TOLLGATE_NODE: name, LOG_LEVEL: 'error' },
      ...{ TOLLGATE_JWT_SECRET: jwtSecret, TOLLGATE_KEY_PREFIX: name },
    },
  });
  await eventually(async () => (await fetch(`http://127.0.0.1:${ops}/readyz`)).ok, { timeoutMs: 60_000 });
  return {
    port,
    pid: child.pid ?? 0,
    cpuSeconds: () => cpuSecondsOf(child.pid ?? 0),
    memory: async () => {
      child.send('memory');
      const [memory] = (await once(child, 'message')) as [Memory];
      return memory;
    },
    stop: () => end(child, () => child.kill('SIGTERM')),
  };
}

export async function startUpstream(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'upstream.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line.toString()), stop: () => end(child, () => child.stdin.end()) };
}

async function end(child: ChildProcess, request: () => void): Promise<void> {
  const exited = once(child, 'exit');
  request();
  await exited;
}

export function newSecret(): string {
  return randomBytes(32).toString('hex');
}
