import { Type } from 'typebox';
import { clickHouseVariables, retentionVariables } from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { policyVariables } from '../../shared/policy/environment.ts';
import { callTimeoutMsDefault } from '../../shared/redis/client.ts';
import { redisVariables } from '../../shared/redis/environment.ts';
import { opsPortVariable, portVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';
import { transportVariables } from './transport/bounds.ts';

/** Environment variables of the gateway. */
export const environment = Type.Object({
  ...serviceVariables,
  PORT: portVariable(8080, 'Port of the proxy.'),
  API_PORT: portVariable(8081, 'Port of the API listener.'),
  RLS_PORT: portVariable(8084, "Port of Envoy's gRPC services."),
  OPS_PORT: opsPortVariable(8090),
  ...redisVariables,
  ...kafkaVariables,
  ...clickHouseVariables,
  ...policyVariables,
  TOLLGATE_NODE: Type.String({
    default: '',
    maxLength: 128,
    description:
      'Name of the node. Must stay the same for one spool directory. Empty: host name and process id.',
  }),
  TOLLGATE_SPOOL_DIR: Type.String({
    default: '.local/spool',
    description: 'Directory of the event spool; one gateway each.',
  }),
  TOLLGATE_DURABILITY: Type.String({
    enum: ['process', 'power'],
    default: 'process',
    description:
      'What the events of answered requests survive: `process` a crash of the gateway, `power` a power failure too (the response waits for fsync).',
  }),
  TOLLGATE_BODY_BYTES_MAX: Type.Integer({
    minimum: 0,
    default: 100 * 1024 * 1024,
    description: 'Largest request body that the proxy forwards.',
  }),
  TOLLGATE_REDIS_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: callTimeoutMsDefault,
    description: 'Time that a decision waits for Redis before the node decides by itself.',
  }),
  TOLLGATE_RLS_REDIS_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    maximum: 10_000,
    default: 12,
    description:
      "The same for Envoy's rate limit service: Envoy waits 20 ms by default, the network included.",
  }),
  ...retentionVariables,
  TOLLGATE_UPSTREAM_TIMEOUT_MS: Type.Integer({
    minimum: 1,
    default: 30_000,
    description: 'Time until the upstream begins to respond; then 504.',
  }),
  TOLLGATE_UPSTREAM_CREDENTIAL: Type.String({
    default: '',
    maxLength: 8_192,
    description:
      "Header field `NAME: VALUE` that the upstream gets instead of the caller's `Authorization` and `X-API-Key`, e.g. `Authorization: Bearer sk-…`. Empty: these fields are forwarded.",
  }),
  ...transportVariables,
  ...tracingVariables,
});
