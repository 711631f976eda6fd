import { Ajv } from 'ajv';
import { Type } from 'typebox';
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
/** ClickHouse, where alerts go too, takes no text with half a surrogate pair. */
export const alertFormats = { instant: isInstant, text: (value: string) => value.isWellFormed() };
const validate = new Ajv({ formats: alertFormats }).compile<AlertEvent>(alertSchema);

/** A value of the alerts topic; null for what is none. */
export function readAlert(value: Buffer): AlertEvent | null {
  try {
    const alert: unknown = JSON.parse(value.toString());
    return validate(alert) ? alert : null;
  } catch {
    return null;
  }
}

/** A time in UTC that is one: what cannot be read as a time has no place in a period. */
function isInstant(text: string): boolean {
  return text.endsWith('Z') && readInstant(text) !== null;
}
