import { Type } from 'typebox';
import { clickHouseVariables } from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { policyVariables } from '../../shared/policy/environment.ts';
import { redisVariables } from '../../shared/redis/environment.ts';
import { opsPortVariable, portVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';
import { sessionVariables } from '../../shared/sessions/secrets.ts';

/** Environment variables of the console. */
export const environment = Type.Object({
  ...serviceVariables,
  CONSOLE_PORT: portVariable(8083, 'Port of the portal and of the operator console.'),
  OPS_PORT: opsPortVariable(8094),
  ...redisVariables,
  ...kafkaVariables,
  ...clickHouseVariables,
  ...policyVariables,
  ...sessionVariables,
  ...tracingVariables,
  TOLLGATE_CONSOLE_URL: Type.String({
    default: '',
    description:
      'Address at which browsers reach the console: portal links begin with it, and cookies are `Secure` when it is ' +
      '`https:`. Empty: the address that the listener binds.',
  }),
});
