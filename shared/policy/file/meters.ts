import { Type } from 'typebox';
import type { Static } from 'typebox';
import { meterAggregations } from '../../domain/meter.ts';
import type { MeterDefinition } from '../../domain/meter.ts';
import type { Violations } from './violations.ts';

const groupsMax = 8;

/** A name contains no comma, because commas separate the fields by which a query groups. */
const field = (description: string) => Type.String({ pattern: '^[^,\\u0000-\\u001f]{1,128}$', description });

const meterFile = Type.Object(
  {
    name: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$',
      description: 'a name for the meter: up to 64 letters, digits, "-" or "_"; queries use it',
    }),
    event_type: Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'the CloudEvents type of the events to measure, e.g. llm.completion.v1',
    }),
    aggregation: Type.Enum([...meterAggregations], {
      description: meterAggregations.join(', ').replace(/, (\w+)$/, ' or $1'),
    }),
    value: Type.Optional(
      field('the name of the field of the event\'s data that is measured, e.g. tokens, without ","'),
    ),
    group_by: Type.Optional(
      Type.Array(field('the name of a field of the event\'s data, e.g. model, without ","'), {
        maxItems: groupsMax,
        uniqueItems: true,
        description: `a list of up to ${groupsMax} different fields that queries may group by, e.g. [model]`,
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'a meter: { name, event_type, aggregation, value?, group_by? }',
  },
);

/** The value of `meters` in a policy file. */
export const metersFile = Type.Array(meterFile, { description: 'a list of meters' });

type MetersFile = Static<typeof metersFile>;

/** Meters by name, in the order of the file. */
export function compileMeters(file: MetersFile = []): ReadonlyMap<string, MeterDefinition> {
  return new Map(
    file.map(({ name, event_type, aggregation, value, group_by }) => [
      name,
      { name, eventType: event_type, aggregation, value: value ?? null, groupBy: group_by ?? [] },
    ]),
  );
}

/** Adds names that occur twice, and values that are missing or not allowed, to `violations`. */
export function checkMeters(file: MetersFile = [], violations: Violations): void {
  const seen = new Set<string>();
  for (const [index, { name, aggregation, value }] of file.entries()) {
    const at = ['meters', index];
    if (seen.has(name)) {
      violations.add(
        [...at, 'name'],
        `"${name}" is in the list twice; names of meters are unique, choose another`,
      );
    }
    seen.add(name);
    if (aggregation === 'count' && value !== undefined) {
      violations.add(
        [...at, 'value'],
        'is not allowed with aggregation count, which counts events; remove it, or choose unique or sum',
        'key',
      );
    }
    if (aggregation !== 'count' && value === undefined) {
      violations.add(
        [...at, 'value'],
        `is missing; write the field of the event's data that ${aggregation} aggregates, or choose count`,
      );
    }
  }
}
