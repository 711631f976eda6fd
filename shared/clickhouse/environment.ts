import { Type } from 'typebox';
import type { ClickHouseOptions } from './client.ts';
import { rawRetentionDaysDefault } from './migrate.ts';

/** Environment variables of every process that uses ClickHouse. */
export const clickHouseVariables = {
  CLICKHOUSE_URL: Type.String({
    default: 'http://127.0.0.1:8123',
    description: "Address of ClickHouse's HTTP interface.",
  }),
  CLICKHOUSE_DATABASE: Type.String({ default: 'tollgate', description: 'Database of all tables.' }),
  CLICKHOUSE_USER: Type.String({ default: 'default', description: 'User of ClickHouse.' }),
  CLICKHOUSE_PASSWORD: Type.String({ default: '', description: 'Password of that user.' }),
};

type ClickHouseVariables = Readonly<Record<keyof typeof clickHouseVariables, string>>;

/** Returns the variables as options of `createClickHouse`. */
export function clickHouseServer(
  config: ClickHouseVariables,
): Required<Pick<ClickHouseOptions, 'url' | 'database' | 'username' | 'password'>> {
  return {
    url: config.CLICKHOUSE_URL,
    database: config.CLICKHOUSE_DATABASE,
    username: config.CLICKHOUSE_USER,
    password: config.CLICKHOUSE_PASSWORD,
  };
}

/** Of the processes that create tables. */
export const clusterVariable = Type.String({
  default: '',
  description:
    'Name of a ClickHouse cluster: migrations run `ON CLUSTER` with Replicated engines, and inserts wait for a quorum. Empty: one server.',
});

/** Retention of raw events in days. The aggregator creates the tables with it, and the gateway refuses events that are older. */
export const retentionVariables = {
  TOLLGATE_RAW_RETENTION_DAYS: Type.Integer({
    minimum: 2,
    maximum: 3_650,
    default: rawRetentionDaysDefault,
    description:
      'Days that raw events are stored; the gateway refuses published events that are older. Must be the same in all services and agree with the tables, or the service does not start.',
  }),
};
