import { Type } from 'typebox';
import {
  clickHouseVariables,
  clusterVariable,
  retentionVariables,
} from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';
import { opsPortVariable, serviceVariables } from '../../shared/runtime/config.ts';
import { tracingVariables } from '../../shared/runtime/tracing/environment.ts';

/** Environment variables of the aggregator. */
export const environment = Type.Object({
  ...serviceVariables,
  OPS_PORT: opsPortVariable(8091),
  ...kafkaVariables,
  ...clickHouseVariables,
  CLICKHOUSE_CLUSTER: clusterVariable,
  ...retentionVariables,
  ...tracingVariables,
  TOLLGATE_BLOCK_ROWS_MAX: Type.Integer({
    minimum: 1,
    maximum: 200_000,
    default: 40_000,
    description: 'Records after which a block is inserted.',
  }),
  TOLLGATE_BLOCK_LINGER_MS: Type.Integer({
    minimum: 0,
    maximum: 10_000,
    default: 150,
    description:
      'Longest time for which a block collects records after its first one. Under load, a block is inserted earlier.',
  }),
});
