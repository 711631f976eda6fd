import { Type } from 'typebox';
import { clickHouseVariables } from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { policyVariables } from '../../shared/policy/environment.ts';
import { providerVariables } from '../../shared/runtime/provider.ts';
import { opsPortVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';
import { defaultRetryPlan } from './deliver/delivery.ts';

/** Environment variables of the alerter. */
export const environment = Type.Object({
  ...serviceVariables,
  OPS_PORT: opsPortVariable(8093),
  ...kafkaVariables,
  ...clickHouseVariables,
  ...policyVariables,
  ...tracingVariables,
  SMTP_URL: Type.String({
    default: '',
    description: 'Mail server, `smtp://user:password@host:587`. Empty: no mail is sent.',
  }),
  SMTP_FROM: Type.String({
    default: 'tollgate@localhost',
    description: 'Sender of mail, `Name <address>`. An address alone gets the name of the provider.',
  }),
  ...providerVariables,
  TOLLGATE_CONSOLE_URL: Type.String({
    default: '',
    pattern: '^(https?://[^ ]+)?$',
    description: 'Address of the portal in notifications to tenants. Empty: they have no link.',
  }),
  TOLLGATE_WEBHOOK_ALLOW_PRIVATE: Type.Boolean({
    default: false,
    description: 'Allows notifications to private addresses. For tests and a stack on one machine.',
  }),
  TOLLGATE_WEBHOOK_TIMEOUT_MS: Type.Integer({
    minimum: 100,
    default: 10_000,
    description: 'Time for one delivery attempt, mail included.',
  }),
  TOLLGATE_WEBHOOK_ATTEMPTS_MAX: Type.Integer({
    minimum: 1,
    default: defaultRetryPlan.attemptsMax,
    description: 'Attempts after which a notification is given up.',
  }),
  TOLLGATE_WEBHOOK_RETRY_MS: Type.Integer({
    minimum: 1,
    default: defaultRetryPlan.baseMs,
    description: 'Pause after the first failed attempt; later pauses are longer.',
  }),
  TOLLGATE_HEARTBEAT_MS: Type.Integer({
    minimum: 100,
    default: 60_000,
    description: 'Time between two heartbeat events, which measure the pipeline from Kafka to alerts.',
  }),
  TOLLGATE_SESSION_TIMEOUT_MS: Type.Integer({
    minimum: 6_000,
    default: 10_000,
    description: 'Time without a heartbeat in the Kafka group after which another alerter takes over.',
  }),
});
