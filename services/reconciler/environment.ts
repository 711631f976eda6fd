import { Type } from 'typebox';
import { clickHouseVariables } from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { policyVariables } from '../../shared/policy/environment.ts';
import { redisVariables } from '../../shared/redis/environment.ts';
import { opsPortVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';

/** Environment variables of the reconciler. */
export const environment = Type.Object({
  ...serviceVariables,
  OPS_PORT: opsPortVariable(8092),
  ...redisVariables,
  ...kafkaVariables,
  ...clickHouseVariables,
  ...policyVariables,
  ...tracingVariables,
  TOLLGATE_AUDIT_INTERVAL_MS: Type.Integer({
    minimum: 1_000,
    maximum: 86_400_000,
    default: 300_000,
    description: 'Time between two loss audits.',
  }),
  TOLLGATE_AUDIT_HOURS: Type.Integer({
    minimum: 1,
    maximum: 744,
    default: 1,
    description: 'Hours before now that one loss audit covers.',
  }),
});
