import { Type } from 'typebox';
import { clickHouseVariables } from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { policyEditVariables, policyVariables } from '../../shared/policy/environment.ts';
import { redisVariables } from '../../shared/redis/environment.ts';
import { portVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';
import { sessionVariables } from '../../shared/sessions/secrets.ts';

/** Environment variables of the admin API. */
export const environment = Type.Object({
  ...serviceVariables,
  ADMIN_PORT: portVariable(
    8082,
    'Port of the admin API, and of `/healthz`, `/readyz` and `/metrics` of its process.',
  ),
  ...redisVariables,
  ...kafkaVariables,
  ...clickHouseVariables,
  ...policyVariables,
  ...policyEditVariables,
  ...sessionVariables,
  ...tracingVariables,
  TOLLGATE_CONSOLE_URL: Type.String({
    default: 'http://127.0.0.1:8083',
    description: 'Address at which browsers reach the console: portal links begin with it.',
  }),
});
