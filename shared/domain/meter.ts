export type MeterAggregation = 'sum' | 'count' | 'unique' | 'min' | 'max' | 'average' | 'latest';

export const meterAggregations: readonly MeterAggregation[] = [
  'sum',
  'count',
  'unique',
  'min',
  'max',
  'average',
  'latest',
];

/** A quantity that the policy defines: an aggregate over the events of one type. */
export interface MeterDefinition {
  readonly name: string;
  /** CloudEvents type, e.g. `tokens.used`; `tollgate.request.v1` meters requests. */
  readonly eventType: string;
  readonly aggregation: MeterAggregation;
  /**
   * Field of the event's data that is aggregated; null for the aggregation `count` only. An event is not counted if
   * the field is missing or is not a number (for `unique`: not a text).
   */
  readonly value: string | null;
  /** Fields of the event's data by which a query may group or filter. */
  readonly groupBy: readonly string[];
}

export type MeterWindow = 'minute' | 'hour' | 'day' | 'month';

export const meterWindows: readonly MeterWindow[] = ['minute', 'hour', 'day', 'month'];
