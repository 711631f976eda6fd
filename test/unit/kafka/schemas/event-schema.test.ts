// Goal: the published schemas of usage events describe what the contract (`readEvent`) accepts. Method: compare the fields that
// the contract reads with those of the schema, and both at each bound of the schema and beyond it.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';
import { publishedTimeBounds } from '../../../../shared/domain/events/bounds.ts';
import { cloudEventSchema, eventSchemas } from '../../../../shared/domain/events/event-schema.ts';
import { readEvent } from '../../../../shared/domain/events/read-event.ts';

const now = Date.parse('2026-11-26T12:00:00Z');
const time = '2026-11-26T11:59:00.000Z';
const ajv = new Ajv2020({ allowUnionTypes: true, formats: { 'date-time': true } });
type Json = Record<string, unknown>;
interface Described {
  readonly properties: Readonly<Record<string, Json>>;
}

const reservation = { state: 'open', reserved: { tokens: 5 }, expires_at: '2026-11-26T12:30:00Z' };
const usage = {
  model: 'small',
  quantities: { tokens: 5 },
  measures: { input_tokens: 5 },
  usage_source: 'reported',
};
const request = {
  ...{ user_id: 'u', plan: 'pro', method: 'GET', route: '*', path: '/', status: 200, decision: 'allowed' },
  ...{
    limited_by: [],
    units: 1,
    cost: 0,
    latency_ms: 1,
    check_us: 1,
    node: 'n',
    sequence: 1,
    degraded: false,
  },
  ...{ client_ip: '203.0.113.1', service: '', entrypoint: 'proxy', api_key: '0123456789ab' },
  ...{ policy_revision: '0123456789ab', decided_after_us: -2 },
  ...{ sample_weight: 2, ...usage, reservation },
};
const meter = { user_id: 'u', plan: 'pro', route: '*', units: 1, cost: '0.5' };
const amend = {
  ...{ event_id: 'e', event_source: 's', event_time: time, units: 1, cost: 1, status: 200, latency_ms: 1 },
  ...{ properties: { region: 'eu' }, ...usage, reservation: { ...reservation, number: 1 } },
};
const samples = { request, meter, refund: meter, amend, void: { event_id: 'e' } } as const;
const names = Object.keys(samples) as (keyof typeof samples)[];

function eventOf(name: keyof typeof samples, data: unknown): Json {
  const type = eventSchemas[name].type ?? 'llm.completion';
  return { specversion: '1.0', id: 'i', source: 'tollgate/n', type, subject: 'acme', time, data };
}

function isRead(event: Json): boolean {
  return readEvent(event, now, publishedTimeBounds(400)).kind !== 'rejected';
}

describe.each(names)('%s', (name) => {
  const validate = ajv.compile(cloudEventSchema(eventSchemas[name]));
  const sample: Json = samples[name];
  const { properties } = eventSchemas[name].data as unknown as Described;
  const accepted = (data: Json): { schema: boolean; contract: boolean } => {
    const event = eventOf(name, data);
    return { schema: validate(event), contract: isRead(event) };
  };

  test('the sample is valid under the schema and under the contract', () => {
    expect(accepted(sample)).toEqual({ schema: true, contract: true });
  });

  test('the schema has exactly the fields that the contract reads', () => {
    const read = new Set<string>();
    const data = new Proxy(sample, {
      get: (target, field) => {
        if (typeof field === 'string') read.add(field);
        return Reflect.get(target, field) as unknown;
      },
      ownKeys: () => [],
    });
    expect(isRead(eventOf(name, data))).toBe(true);
    const sampled = Object.keys(samples[name === 'void' ? 'amend' : name]);
    expect([...read].filter((field) => !(field in properties))).toEqual([]);
    expect(sampled.filter((field) => !(field in properties))).toEqual([]);
    if (name !== 'void') expect([...read].sort()).toEqual(Object.keys(properties).sort());
  });

  test('both accept each bound and reject what is beyond it', () => {
    let bounds = 0;
    for (const [field, schema] of Object.entries(properties)) {
      for (const { value, isValid } of valuesAround(schema)) {
        bounds += 1;
        const both = { schema: isValid, contract: isValid };
        expect(
          accepted({ ...sample, [field]: value }),
          `${field}: ${JSON.stringify(value).slice(0, 80)}`,
        ).toEqual(both);
      }
    }
    expect(bounds).toBeGreaterThan(5);
  });

  test('both require the same fields', () => {
    for (const field of Object.keys(sample)) {
      const others = Object.fromEntries(Object.entries(sample).filter(([name]) => name !== field));
      const { schema, contract } = accepted(others);
      expect(schema, field).toBe(contract);
    }
  });
});

interface Bounds {
  readonly type?: string;
  readonly maxLength?: number;
  readonly maximum?: number;
  readonly minimum?: number;
  readonly maxItems?: number;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly Json[];
  readonly format?: string;
}

/** Values at and beyond the bounds of a simple schema. */
function valuesAround(schema: Json): { value: unknown; isValid: boolean }[] {
  const { type, maxLength, maximum, minimum = 0, maxItems, enum: values, anyOf, format } = schema as Bounds;
  if (anyOf !== undefined) return valuesAround(anyOf[0]!);
  if (values !== undefined) return [{ value: 'nonsense', isValid: false }];
  if (format !== undefined) return [];
  if (maxLength !== undefined)
    return [
      { value: 'x'.repeat(maxLength), isValid: true },
      { value: 'x'.repeat(maxLength + 1), isValid: false },
      { value: 5, isValid: false },
    ];
  if (maximum !== undefined)
    return [
      { value: maximum, isValid: true },
      { value: maximum * 2, isValid: false },
      { value: minimum - 1, isValid: false },
      ...(type === 'integer' ? [{ value: 0.5, isValid: false }] : []),
    ];
  if (maxItems !== undefined)
    return [
      { value: Array.from({ length: maxItems }, () => 'x'), isValid: true },
      { value: Array.from({ length: maxItems + 1 }, () => 'x'), isValid: false },
    ];
  return [];
}
