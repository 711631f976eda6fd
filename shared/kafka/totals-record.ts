import { Ajv } from 'ajv';
import { Type } from 'typebox';
import type { TenantTotals } from '../domain/totals.ts';

const count = Type.Number({ minimum: 0 });
const periodSchema = Type.Object({
  start: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
  requests: count,
  allowed: count,
  limited: count,
  bypassed: count,
  errors: count,
  // Corrections may take more units away than a period gave.
  units: Type.Number(),
  consumed: Type.Number(),
  cost: Type.Number(),
});
const schema = Type.Object({
  tenant_id: Type.String({ minLength: 1 }),
  plan: Type.String(),
  time_zone: Type.Optional(Type.String()),
  day: periodSchema,
  month: periodSchema,
  day_by_route: Type.Record(Type.String(), Type.Number()),
  complete_through: Type.String(),
  announced_at: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T' }),
});
const validate = new Ajv().compile(schema);

/** An announcement of the totals topic; null for what is none. */
export function readTotals(value: Buffer): TenantTotals | null {
  try {
    const totals: unknown = JSON.parse(value.toString());
    return validate(totals) ? totals : null;
  } catch {
    return null;
  }
}
