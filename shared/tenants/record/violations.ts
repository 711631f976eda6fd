import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import { Type } from 'typebox';
import type { TSchema } from 'typebox';
import { isTimeZone } from '../../domain/time/calendar.ts';
import { readInstant } from '../../domain/time/instant.ts';
import { isEmailAddress, isWebAddress } from '../../domain/notification-target.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import { violationsFrom, textOfViolations } from '../../runtime/http/schema-violations.ts';
import type { Violation } from '../../runtime/http/schema-violations.ts';
import { closed, settings, tenantRecordSchema } from './schema.ts';

/** Implementations of the formats of `schema.ts`, for every ajv instance that validates with a part of it. */
export const recordFormats: Readonly<Record<string, (text: string) => boolean>> = {
  'date-time': isTime,
  'time-zone': isTimeZone,
  email: isEmailAddress,
  uri: isWebAddress,
};

/**
 * Violations of the record's contract in a value; empty if the record is valid. A record with a violation is not used
 * at all.
 */
export function violationsOfRecord(value: unknown): readonly Violation[] {
  return violationsUnder(recordValidator, value);
}

/** Violations of the contract in settings that a client sends. Here an unknown name is a violation too. */
export function violationsOfSettings(value: unknown): readonly Violation[] {
  return violationsUnder(settingsValidator, value);
}

/** The violations as one text; empty if the value is valid. */
export function recordViolationText(value: unknown): string {
  return textOfViolations(violationsOfRecord(value), 'record');
}

type Settings = Partial<TenantRecord>;

const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true, formats: { ...recordFormats } });
const recordValidator = compiled(tenantRecordSchema);
const settingsValidator = compiled(closed(Type.Object(settings)));

function compiled(schema: TSchema): ValidateFunction<Settings> {
  return ajv.compile<Settings>(schema);
}

function violationsUnder(validate: ValidateFunction<Settings>, value: unknown): readonly Violation[] {
  return validate(value)
    ? [...violationsOfBoosts(value), ...violationsOfTexts(value)]
    : violationsFrom(validate.errors ?? []);
}

function violationsOfBoosts({ boosts = [] }: Settings): readonly Violation[] {
  return boosts.flatMap(({ multiply, set_to: setTo }, index) =>
    (multiply === undefined) === (setTo === undefined)
      ? [{ field: `boosts.${index}`, reason: 'needs either multiply or set_to' }]
      : [],
  );
}

/** ClickHouse also stores records, and it rejects a text with an unpaired surrogate. */
function violationsOfTexts(value: unknown, field = ''): readonly Violation[] {
  if (typeof value === 'string')
    return value.isWellFormed() ? [] : [{ field, reason: 'is not well-formed Unicode' }];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const path = `${field === '' ? '' : `${field}.`}${name.toWellFormed()}`;
    return [...violationsOfTexts(name, path), ...violationsOfTexts(inner, path)];
  });
}

/**
 * All readers must read a stored time as the same instant. A leap second is therefore rejected: `Date.parse` cannot
 * read it.
 */
function isTime(text: string): boolean {
  return readInstant(text) === Date.parse(text);
}
