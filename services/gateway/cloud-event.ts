import type { IncomingHttpHeaders } from 'node:http';
import { amendEventType, voidEventType } from '../../shared/domain/correction.ts';
import { problemOfTenantId } from '../../shared/domain/identity.ts';
import { instantExample, readInstant } from '../../shared/domain/instant.ts';
import { anonymousTenant } from '../../shared/domain/usage-event.ts';
import type { UsageCloudEvent } from '../../shared/domain/usage-event.ts';

/** Who publishes: a tenant for itself only, a service (`tenantId` null: none of its own) for any tenant. */
export interface Publisher {
  readonly tenantId: string | null;
  readonly service: boolean;
  readonly nowMs: number;
}

export type ReadEvent = { readonly event: UsageCloudEvent } | { readonly problem: string };

const textLengthMax = 256;
const typeLengthMax = 128;
const eventCharactersMax = 64_000;
const aheadMsMax = 10 * 60_000;
const lateMsMax = 365 * 86_400_000;

/**
 * Reads one event in structured form (CloudEvents 1.0, JSON format) as it may be published, or says in a sentence why
 * it may not. Identity is (source, id), so sending it again counts nothing twice. A missing `time` is now and a missing
 * `subject` the caller's tenant; extension attributes are dropped, since nothing reads them.
 */
export function readEvent(given: unknown, publisher: Publisher): ReadEvent {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    return { problem: 'is not a JSON object' };
  const fields = given as Readonly<Record<string, unknown>>;
  if (fields['specversion'] !== '1.0') return { problem: 'specversion must be "1.0"' };
  const id = fields['id'];
  const source = fields['source'];
  const type = fields['type'];
  const problem =
    problemOfText('id', id, textLengthMax) ??
    problemOfText('source', source, textLengthMax) ??
    problemOfText('type', type, typeLengthMax) ??
    problemOfOrigin(String(source), String(type), publisher) ??
    problemOfContent(fields);
  if (problem !== null) return { problem };
  const subject = subjectOf(fields['subject'], publisher);
  if ('problem' in subject) return subject;
  const time = timeOf(fields['time'], publisher.nowMs);
  if ('problem' in time) return time;
  return {
    event: {
      specversion: '1.0',
      id: String(id),
      source: String(source),
      type: String(type),
      time: time.time,
      subject: subject.subject,
      datacontenttype: 'application/json',
      data: fields['data'] ?? {},
    },
  };
}

/** The attributes of an event in binary form stand in `ce-` headers, percent-encoded; the body is its data. */
export function structured(headers: IncomingHttpHeaders, data: unknown): Record<string, unknown> {
  const fields: Record<string, unknown> = { data };
  for (const name of ['specversion', 'id', 'source', 'type', 'subject', 'time']) {
    const value = headers[`ce-${name}`];
    if (typeof value === 'string') fields[name] = decoded(value);
  }
  return fields;
}

function problemOfText(name: string, value: unknown, lengthMax: number): string | null {
  if (typeof value !== 'string' || value === '') return `${name} must be a text that is not empty`;
  if (value.length > lengthMax) return `${name} is longer than ${lengthMax} characters`;
  return value.isWellFormed() ? null : `${name} is not well-formed Unicode`;
}

/** What Tollgate itself says of requests cannot be said by others, and only a service may change what was counted. */
function problemOfOrigin(source: string, type: string, { service }: Publisher): string | null {
  if (source === 'tollgate' || source.startsWith('tollgate/'))
    return 'source may not begin with "tollgate/", which is reserved';
  if (!type.startsWith('tollgate.')) return null;
  if (type !== amendEventType && type !== voidEventType)
    return `type "${type}" is reserved; choose one of your own`;
  return service ? null : 'only a service may amend or void events';
}

function problemOfContent(fields: Readonly<Record<string, unknown>>): string | null {
  const data = fields['data'] ?? {};
  if (fields['data_base64'] !== undefined) return 'data_base64 is not taken; send data as a JSON object';
  if (typeof data !== 'object' || Array.isArray(data)) return 'data must be a JSON object';
  for (const name of ['units', 'cost']) {
    const value = (data as Readonly<Record<string, unknown>>)[name];
    const usable = value === undefined || (typeof value === 'number' && Number.isFinite(value) && value >= 0);
    if (!usable) return `data.${name} must be a number of 0 or more`;
  }
  return JSON.stringify(data).length > eventCharactersMax
    ? `data is longer than ${eventCharactersMax} characters`
    : null;
}

function subjectOf(
  given: unknown,
  { tenantId, service }: Publisher,
): { subject: string } | { problem: string } {
  const subject = given ?? tenantId;
  if (typeof subject !== 'string') return { problem: 'subject must name the tenant' };
  if (!service && subject !== tenantId) return { problem: 'subject must be your own tenant' };
  const wrong = problemOfTenantId(subject);
  return wrong === null || subject === anonymousTenant ? { subject } : { problem: `subject ${wrong}` };
}

function timeOf(given: unknown, nowMs: number): { time: string } | { problem: string } {
  if (given === undefined || given === null) return { time: new Date(nowMs).toISOString() };
  const timeMs = typeof given === 'string' ? readInstant(given) : null;
  if (timeMs === null) return { problem: `time must be an RFC 3339 time, e.g. ${instantExample}` };
  if (timeMs > nowMs + aheadMsMax)
    return { problem: `time is more than ${aheadMsMax / 60_000} minutes in the future` };
  if (timeMs < nowMs - lateMsMax) return { problem: 'time is more than 365 days ago' };
  return { time: new Date(timeMs).toISOString() };
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
