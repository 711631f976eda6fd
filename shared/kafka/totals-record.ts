import { Ajv } from 'ajv';
import { Type } from 'typebox';
import { readInstant } from '../domain/time/instant.ts';
import type { TenantTotals } from '../domain/topics/totals.ts';
import type { ConsumedMessage } from './message.ts';

const count = Type.Number({ minimum: 0 });
const amount = Type.Union([Type.Number(), Type.Null()]);
const periodSchema = Type.Object({
  start: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }),
  requests: count,
  allowed: count,
  limited: count,
  bypassed: count,
  errors: count,
  // Corrections may take more units away than a period gave.
  units: amount,
  consumed: amount,
  cost: Type.Number(),
});
const schema = Type.Object({
  tenant_id: Type.String({ minLength: 1 }),
  plan: Type.String(),
  time_zone: Type.Optional(Type.String()),
  day: periodSchema,
  month: periodSchema,
  day_by_route: Type.Optional(Type.Record(Type.String(), amount)),
  complete_through: Type.String(),
  announced_at: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T' }),
  degraded_since: Type.Optional(Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T' })),
});
const validate = new Ajv().compile<TenantTotals>(schema);

export const notTotals = 'is no announcement of totals, or its key is not its tenant_id';

/** An announcement of the totals topic; null for what is none. */
export function readTotals({ key, value }: Pick<ConsumedMessage, 'key' | 'value'>): TenantTotals | null {
  try {
    const totals: unknown = JSON.parse(value?.toString() ?? '');
    // The key chooses the partition, and with it the order: under another one an older announcement could come last.
    return validate(totals) && totals.tenant_id === key && readInstant(totals.announced_at) !== null
      ? totals
      : null;
  } catch {
    return null;
  }
}
