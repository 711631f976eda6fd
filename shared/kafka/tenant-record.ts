import { Ajv } from 'ajv';
import { Type } from 'typebox';
import { isTimeZone } from '../domain/calendar.ts';
import { idLengthMax } from '../domain/identity.ts';
import { readInstant } from '../domain/instant.ts';
import { historyEntriesMax } from '../domain/tenant.ts';
import type { TenantRecord } from '../domain/tenant.ts';

const time = Type.String({ format: 'date-time' });
const name = Type.String({ minLength: 1, maxLength: 200 });
const text = Type.String({ maxLength: 2_000 });
const amount = Type.Number({ minimum: 0 });

/** Bounds of a record's lists: a record is in the memory of every gateway. */
const listMax = 100;

const boost = Type.Object({
  id: name,
  limit: name,
  multiply: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
  set_to: Type.Optional(amount),
  starts_at: time,
  ends_at: time,
  reason: text,
  actor: name,
});

const notifications = Type.Object({
  thresholds: Type.Optional(
    Type.Array(Type.Number({ exclusiveMinimum: 0, maximum: 10 }), { maxItems: listMax }),
  ),
  webhooks: Type.Optional(
    Type.Array(Type.Object({ url: text, secrets: Type.Array(text, { maxItems: 5 }) }), { maxItems: listMax }),
  ),
  slack: Type.Optional(Type.Array(text, { maxItems: listMax })),
  emails: Type.Optional(Type.Array(text, { maxItems: listMax })),
});

const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const apiKey = Type.Object({
  sha256,
  name: Type.Optional(name),
  created_at: Type.Optional(time),
  expires_at: Type.Optional(time),
});

/** Fields that are not named are kept and ignored, so that an older node passes on what a newer one wrote. */
const record = Type.Object({
  tenant_id: Type.String({ minLength: 1, maxLength: idLengthMax }),
  plan: Type.Optional(name),
  display_name: Type.Optional(text),
  overrides: Type.Optional(Type.Record(name, amount, { maxProperties: listMax })),
  boosts: Type.Optional(Type.Array(boost, { maxItems: listMax })),
  block: Type.Optional(Type.Object({ until: Type.Union([time, Type.Null()]), reason: text, actor: name })),
  api_keys_sha256: Type.Optional(Type.Array(sha256, { maxItems: listMax })),
  api_keys: Type.Optional(Type.Array(apiKey, { maxItems: listMax })),
  notifications: Type.Optional(notifications),
  time_zone: Type.Optional(name),
  reset: Type.Optional(Type.Object({ at_ms: amount, actor: name, day_units: amount, month_units: amount })),
  history: Type.Optional(
    Type.Array(Type.Object({ at: time, actor: name, action: name, detail: text }), {
      maxItems: historyEntriesMax,
    }),
  ),
  updated_at: time,
  updated_by: name,
});

const ajv = new Ajv({ allErrors: true });
ajv.addFormat('date-time', (value: string) => readInstant(value) !== null);
const validate = ajv.compile<TenantRecord>(record);

/** What is wrong with it, as `field: reason` separated by commas; empty when it is a tenant record. */
export function faultsOf(value: unknown): string {
  const faults = validate(value)
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => {
        return `${instancePath.slice(1).replaceAll('/', '.') || 'record'}: ${message ?? 'is invalid'}`;
      });
  if (faults.length === 0) faults.push(...furtherFaults(value as TenantRecord));
  return faults.join(', ');
}

function furtherFaults({ boosts = [], time_zone: zone }: TenantRecord): string[] {
  const faults = boosts
    .filter(({ multiply, set_to: setTo }) => (multiply === undefined) === (setTo === undefined))
    .map(({ id }) => `boosts ${id}: either multiply or set_to must be given`);
  if (zone !== undefined && !isTimeZone(zone)) faults.push(`time_zone: ${zone} is no IANA time zone`);
  return faults;
}
