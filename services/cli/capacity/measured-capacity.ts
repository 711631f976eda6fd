/** Figures of `npm run bench`, with the machine that measured them. Times are microseconds of CPU time of one core. */
export interface MeasuredCapacity {
  readonly machine: string;
  readonly commit: string;
  readonly date: string;
  /** Load average at the end: far above the number of cores, the machine was not quiet. */
  readonly loadAverage: number;
  readonly figures: CapacityFigures;
}

export interface CapacityFigures {
  /** The gateway's code in the process of an API, for a request with its event. */
  readonly pluginMicros: number;
  /** The gateway as a proxy, for a request with its event. */
  readonly proxyMicros: number;
  /** Redis, for a check of three windows of which two are exact. */
  readonly redisMicrosExact: number;
  /** Redis, for a check of three windows above 1,000 units. */
  readonly redisMicrosLarge: number;
  /** Redis, for a check of a busy tenant, whose units are leased. */
  readonly redisMicrosLeased: number;
  /** The aggregator, for an event. */
  readonly aggregatorMicros: number;
  /** ClickHouse, for an event that the aggregator stores, totals included. */
  readonly clickhouseMicros: number;
  /** Bytes of an event in Kafka, in each replica. */
  readonly kafkaBytes: number;
  /** Bytes of an event in ClickHouse, merged. */
  readonly clickhouseBytes: number;
  /** Memory of Redis for a tenant with three windows and one request in them. */
  readonly redisBytesIdle: number;
  /** The same with 20 requests, each in a millisecond of its own. */
  readonly redisBytesBusy: number;
}
