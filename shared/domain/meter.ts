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

/** A quantity measured over events of one type, as the policy defines it. */
export interface MeterDefinition {
  readonly name: string;
  /** CloudEvents type, e.g. `tokens.used`; `tollgate.request.v1` meters requests. */
  readonly eventType: string;
  readonly aggregation: MeterAggregation;
  /**
   * Field of the event's data that is aggregated; null for `count` only. Events without the field, or with a value that is
   * not a number (for `unique`: not a text), are not counted.
   */
  readonly value: string | null;
  /** Fields of the event's data that a query may group or filter by. */
  readonly groupBy: readonly string[];
}

export type MeterWindow = 'minute' | 'hour' | 'day' | 'month';

export const meterWindows: readonly MeterWindow[] = ['minute', 'hour', 'day', 'month'];
