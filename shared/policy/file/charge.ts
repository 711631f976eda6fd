import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { ChargeRule } from '../../domain/limit.ts';
import { closed } from './schema-parts.ts';

const classes = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** The value of `charge` of a plan or a route. */
export const chargeFile = Type.Object(
  {
    unless_status: Type.Array(
      Type.Union([Type.Integer({ minimum: 100, maximum: 599 }), Type.Enum([...classes])], {
        description: 'a status from 100 to 599, or a class of them, e.g. 429 or 5xx',
      }),
      { uniqueItems: true, description: 'a list of statuses, e.g. [5xx, 429]' },
    ),
  },
  { ...closed, description: '{ unless_status: [ … ] }' },
);

export function compileCharge(file: Static<typeof chargeFile> | undefined): ChargeRule | null {
  if (file === undefined) return null;
  return { unlessStatus: new Set(file.unless_status.flatMap(statusesOf)) };
}

function statusesOf(entry: number | string): number[] {
  if (typeof entry === 'number') return [entry];
  const first = Number(entry[0]) * 100;
  return Array.from({ length: 100 }, (_, index) => first + index);
}
