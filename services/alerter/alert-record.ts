import { Ajv } from 'ajv';
import { Type } from 'typebox';
import { v5 } from 'uuid';
import type { AlertEvent } from '../../shared/domain/topics/alert.ts';
import { idLengthMax } from '../../shared/domain/identity.ts';
import { readInstant } from '../../shared/domain/time/instant.ts';

const kinds = ['threshold', 'exceeded', 'forecast', 'recovered', 'rearmed', 'rejections', 'test'] as const;
const instant = Type.String({ format: 'instant', maxLength: 64 });
const text = Type.String({ format: 'text', maxLength: 2_000 });
const alsoCrossedMax = 1_000;

export const alertSchema = Type.Object({
  id: Type.String({ format: 'text', minLength: 1, maxLength: 128 }),
  kind: Type.Union(kinds.map((kind) => Type.Literal(kind))),
  tenant_id: Type.String({ format: 'text', minLength: 1, maxLength: idLengthMax }),
  plan: text,
  limit_name: text,
  threshold: Type.Number(),
  period: instant,
  period_ends_at: Type.Optional(instant),
  limit: Type.Number(),
  used: Type.Number(),
  exhausted_at: Type.Union([instant, Type.Null()]),
  also_crossed: Type.Optional(Type.Array(Type.Number(), { maxItems: alsoCrossedMax })),
  generation: Type.Optional(Type.Integer({ minimum: 0 })),
  rearmed_above: Type.Optional(Type.Number()),
  reset_at: Type.Optional(instant),
  as_of: Type.Optional(instant),
  only_target: Type.Optional(text),
  at: instant,
});
/** Alerts are also stored in ClickHouse, which rejects text with an unpaired surrogate. */
export const alertFormats = { instant: isInstant, text: (value: string) => value.isWellFormed() };
const validate = new Ajv({ formats: alertFormats }).compile<AlertEvent>(alertSchema);

/** Reads a value of the alerts topic; null where it is not a valid alert. */
export function readAlert(value: Buffer): AlertEvent | null {
  try {
    const alert: unknown = JSON.parse(value.toString());
    return validate(alert) ? alert : null;
  } catch {
    return null;
  }
}

/** A valid time in UTC. */
function isInstant(text: string): boolean {
  return text.endsWith('Z') && readInstant(text) !== null;
}

/** Namespace of Tollgate's alerts: a UUIDv5 is the SHA-1 of a namespace and a name (RFC 9562, section 5.5). */
const namespace = '9c1c4b0e-5f4b-4b57-9d0e-6d1a7c0a54c1';

/**
 * The id of an alert. Deterministic: every alerter computes the same id, so that a repeated alert is recognised. `what`
 * is a threshold (a share of the limit), or the kind of an alert without one. A reset or a raised limit begins another
 * generation of the period's alerts, which is part of the id from generation 1 on. The name is JSON, so that two
 * different lists of parts never have the same name.
 */
export function alertIdOf(
  tenantId: string,
  limitName: string,
  period: string,
  what: number | string,
  generation = 0,
): string {
  const parts = [tenantId, limitName, period, what, ...(generation === 0 ? [] : [generation])];
  return v5(JSON.stringify(parts), namespace);
}
