import type { ExternalJob, ExternalRecord } from './external-producer.ts';

export type TopicName = 'usage' | 'totals' | 'tenants' | 'alerts' | 'deliveries';

/** A record of a topic as Tollgate writes it. */
export interface GoodRecord {
  readonly topic: string;
  readonly key: string;
  readonly value: string;
}

/**
 * What becomes of a record: `handled` like any other, a dead `letter`, `nothing` (passed over, as is right for it), or
 * `refused` by the broker.
 */
export type Fate = 'handled' | 'letter' | 'nothing' | 'refused';

export interface BadKind {
  readonly name: string;
  /** Made from a record that would be good. */
  readonly record: (good: GoodRecord) => Omit<ExternalRecord, 'topic'>;
  readonly config?: ExternalJob['config'];
  readonly transaction?: ExternalJob['transaction'];
  readonly fate: Fate | Readonly<Record<TopicName, Fate>>;
}

const keyed = ({ key }: GoodRecord, value: Buffer | string | null) => ({ key, value });
const letterOnUsage = {
  usage: 'letter',
  totals: 'nothing',
  tenants: 'handled',
  alerts: 'nothing',
  deliveries: 'nothing',
} as const;
const keyMatters = {
  usage: 'handled',
  totals: 'letter',
  tenants: 'letter',
  alerts: 'handled',
  deliveries: 'letter',
} as const;
const keyNeeded = {
  usage: 'handled',
  totals: 'refused',
  tenants: 'refused',
  alerts: 'handled',
  deliveries: 'refused',
} as const;
const depth = 100_000;

export const badKinds: readonly BadKind[] = [
  { name: 'no value', record: (good) => keyed(good, null), fate: letterOnUsage },
  { name: 'an empty value', record: (good) => keyed(good, ''), fate: 'letter' },
  { name: '900 kB', record: (good) => keyed(good, Buffer.alloc(900_000, 'x')), fate: 'letter' },
  { name: 'UTF-16', record: (good) => keyed(good, Buffer.from(good.value, 'utf16le')), fate: 'letter' },
  {
    name: 'bytes that are no text',
    record: (good) => keyed(good, Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28])),
    fate: 'letter',
  },
  { name: 'text that is no JSON', record: (good) => keyed(good, 'tenant=acme units=1'), fate: 'letter' },
  { name: 'the JSON null', record: (good) => keyed(good, 'null'), fate: 'letter' },
  { name: 'a JSON list', record: (good) => keyed(good, `[${good.value}]`), fate: 'letter' },
  { name: 'an empty JSON object', record: (good) => keyed(good, '{}'), fate: 'letter' },
  {
    name: 'JSON of great depth',
    record: (good) => keyed(good, '['.repeat(depth) + ']'.repeat(depth)),
    fate: 'letter',
  },
  {
    name: 'JSON that would be a prototype',
    record: (good) => keyed(good, `{"__proto__":${good.value}}`),
    fate: 'letter',
  },
  { name: 'JSON that is cut off', record: (good) => keyed(good, good.value.slice(0, -5)), fate: 'letter' },
  {
    name: '1e300 units',
    record: ({ key, value }) => ({
      key,
      value: JSON.stringify(withUnits(JSON.parse(value) as Fields, 1e300)),
    }),
    fate: { usage: 'letter', totals: 'letter', tenants: 'letter', alerts: 'handled', deliveries: 'handled' },
  },
  {
    name: 'a key that is no text',
    record: ({ value }) => ({ key: Buffer.from([0xff, 0x00, 0xc3, 0x28]), value }),
    fate: keyMatters,
  },
  {
    name: 'the key of another tenant',
    record: ({ value }) => ({ key: 'somebody-else', value }),
    fate: keyMatters,
  },
  { name: 'no key', record: ({ value }) => ({ key: null, value }), fate: keyNeeded },
  {
    name: 'headers of every kind',
    record: ({ key, value }) => ({
      key,
      value,
      headers: [
        ['none', null],
        ['empty', ''],
        ['binary', Buffer.from([0xff, 0x00])],
        ['twice', '1'],
        ['twice', '2'],
        ['__proto__', 'x'],
        ['tollgate-reason', 'not ours'],
        ...Array.from({ length: 300 }, (_, index) => [`header-${index}`, 'x'] as const),
      ],
    }),
    fate: 'handled',
  },
  { name: 'the time 1970', record: ({ key, value }) => ({ key, value, timestamp: 1 }), fate: 'handled' },
  ...['gzip', 'snappy', 'lz4', 'zstd'].map((codec): BadKind => ({
    name: `compressed with ${codec}`,
    record: ({ key, value }) => ({ key, value }),
    config: { 'compression.type': codec },
    fate: 'handled',
  })),
  {
    name: 'a decompression bomb',
    record: ({ key }) => ({ key, value: 40_000_000 }),
    config: { 'compression.type': 'zstd' },
    fate: 'letter',
  },
  {
    name: 'a committed transaction',
    record: ({ key, value }) => ({ key, value }),
    transaction: 'commit',
    fate: 'handled',
  },
];

interface Fields {
  readonly data?: object;
  readonly day?: object;
  readonly alert?: object;
  readonly used?: number;
}

/** The record with this as its number of units, wherever it has one; for a tenant as a limit. */
function withUnits(fields: Fields, units: number): object {
  if (fields.data !== undefined) return { ...fields, data: { ...fields.data, units } };
  if (fields.day !== undefined) return { ...fields, day: { ...fields.day, consumed: units } };
  if (fields.alert !== undefined) return { ...fields, alert: { ...fields.alert, used: units } };
  return fields.used === undefined ? { ...fields, overrides: { minute: units } } : { ...fields, used: units };
}
