import { join } from 'node:path';
import { oidcVariables } from '../../services/console/operator/oidc/settings.ts';
import { providerVariables } from '../../shared/runtime/provider.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';
import type { Ports } from './ports.ts';
import type { Secrets } from './secrets.ts';
import type { ServiceName } from './services.ts';

export interface ServicePlace {
  readonly secrets: Secrets;
  readonly ports: Ports;
  readonly addresses: Readonly<Record<'redis' | 'kafka' | 'clickhouse', string>>;
  readonly localDir: string;
  /**
   * Environment variables of the start. They have precedence over the values below, except for addresses and secrets.
   */
  readonly env: NodeJS.ProcessEnv;
}

/** Environment variables of one service. docs/design.md lists them. */
export function serviceEnvironment(name: ServiceName, place: ServicePlace): Record<string, string> {
  const { secrets, ports, addresses, localDir, env } = place;
  return {
    HOST: '127.0.0.1',
    REDIS_URL: addresses.redis,
    KAFKA_BROKERS: addresses.kafka,
    CLICKHOUSE_URL: addresses.clickhouse,
    CLICKHOUSE_DATABASE: env['CLICKHOUSE_DATABASE'] ?? 'tollgate',
    TOLLGATE_POLICY: env['TOLLGATE_POLICY'] ?? 'policies/default.yaml',
    TOLLGATE_POLICY_WRITABLE: env['TOLLGATE_POLICY_WRITABLE'] ?? 'true',
    TOLLGATE_UPSTREAM: env['TOLLGATE_UPSTREAM'] ?? `http://127.0.0.1:${ports.upstream}`,
    TOLLGATE_JWT_SECRET: secrets.jwt,
    TOLLGATE_SERVICE_TOKEN: secrets.serviceToken,
    TOLLGATE_ADMIN_TOKEN: secrets.adminToken,
    TOLLGATE_PORTAL_SECRET: secrets.portalSecret,
    TOLLGATE_CONSOLE_URL: env['TOLLGATE_CONSOLE_URL'] ?? `http://127.0.0.1:${ports.console}`,
    // The name of the node is constant, because a spool and its sequence numbers belong to one node.
    TOLLGATE_NODE: env['TOLLGATE_NODE'] ?? 'local',
    TOLLGATE_SPOOL_DIR: join(localDir, 'spool'),
    // Allows webhooks to private addresses, because receivers for tests run on this machine.
    TOLLGATE_WEBHOOK_ALLOW_PRIVATE: env['TOLLGATE_WEBHOOK_ALLOW_PRIVATE'] ?? 'true',
    ...asSet(env, ['SMTP_URL', 'SMTP_FROM', 'TOLLGATE_HEARTBEAT_MS', 'TOLLGATE_REDIS_TIMEOUT_MS']),
    ...asSet(env, Object.keys(tracingVariables)),
    ...(name === 'gateway' ? asSet(env, upstreamVariables) : {}),
    ...(name === 'admin' || name === 'console' ? asSet(env, ['TOLLGATE_OPERATORS_FILE']) : {}),
    ...(name === 'console' ? asSet(env, consoleVariables) : {}),
    ...(name === 'console' || name === 'alerter' ? asSet(env, Object.keys(providerVariables)) : {}),
    LOG_LEVEL: env['LOG_LEVEL'] ?? 'info',
    ...listeners(name, ports),
  };
}

/** Only the gateway gets them, because the credential is a secret. */
const upstreamVariables = ['TOLLGATE_UPSTREAM_CREDENTIAL', 'TOLLGATE_UPSTREAM_TIMEOUT_MS'] as const;

/** Only the console signs operators in by an OpenID provider, and only its pages have logo and colour. */
const consoleVariables = [...Object.keys(oidcVariables), ...['TOLLGATE_BRAND_LOGO', 'TOLLGATE_BRAND_COLOUR']];

/** Those variables of the list that are set. */
function asSet(env: NodeJS.ProcessEnv, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

function listeners(name: ServiceName, ports: Ports): Record<string, string> {
  switch (name) {
    case 'gateway':
      return {
        PORT: String(ports.gateway),
        API_PORT: String(ports.api),
        RLS_PORT: String(ports.rls),
        OPS_PORT: String(ports.gatewayOps),
      };
    case 'admin':
      return { ADMIN_PORT: String(ports.admin) };
    case 'console':
      return { CONSOLE_PORT: String(ports.console), OPS_PORT: String(ports.consoleOps) };
    case 'aggregator':
      return { OPS_PORT: String(ports.aggregatorOps) };
    case 'reconciler':
      return { OPS_PORT: String(ports.reconcilerOps) };
    case 'alerter':
      return { OPS_PORT: String(ports.alerterOps) };
  }
}
