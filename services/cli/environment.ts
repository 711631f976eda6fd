import { Type } from 'typebox';
import type { Static } from 'typebox';
import {
  clickHouseVariables,
  clusterVariable,
  retentionVariables,
} from '../../shared/clickhouse/environment.ts';
import { kafkaVariables } from '../../shared/kafka/environment.ts';

/** Environment variables for the commands that call the admin API. */
export const environment = Type.Object({
  TOLLGATE_ADMIN_URL: Type.Optional(
    Type.String({ description: 'URL of the admin API. Absent: the local stack of the working directory.' }),
  ),
  TOLLGATE_ADMIN_TOKEN: Type.Optional(
    Type.String({
      description: 'Token that opens the admin API and the operator console.',
    }),
  ),
  TOLLGATE_ACTOR: Type.Optional(
    Type.String({ description: 'Name in the audit trail. Absent: the user name of the system.' }),
  ),
});

/** Environment variables for `topics create`. */
export const kafkaEnvironment = Type.Object(kafkaVariables);

/** Environment variables for `tables create`. */
export const clickHouseEnvironment = Type.Object({
  ...clickHouseVariables,
  CLICKHOUSE_CLUSTER: clusterVariable,
  ...retentionVariables,
});

export type ClickHouseConfig = Static<typeof clickHouseEnvironment>;

export type KafkaConfig = Static<typeof kafkaEnvironment>;
