import type { ExternalJob, ExternalRecord } from './external-producer.ts';

export type TopicName = 'usage' | 'totals' | 'tenants' | 'alerts' | 'deliveries';

/** A valid record, as Tollgate writes it. */
export interface GoodRecord {
  readonly topic: string;
  readonly key: string;
  readonly value: string;
}

/**
 * What happens to a record: it is `processed` like a valid record, written as a `dead letter`, `skipped` because the
 * topic's consumer ignores records of this kind, or `refused` by the broker.
 */
export type Fate = 'processed' | 'dead letter' | 'skipped' | 'refused';

export interface InvalidRecordKind {
  readonly name: string;
  /** Derives the invalid record from a valid record. */
  readonly record: (good: GoodRecord) => Omit<ExternalRecord, 'topic'>;
  readonly config?: ExternalJob['config'];
  readonly transaction?: ExternalJob['transaction'];
  readonly fate: Fate | Readonly<Record<TopicName, Fate>>;
}

const keyed = ({ key }: GoodRecord, value: Buffer | string | null) => ({ key, value });
const deadLetterOnUsage = {
  usage: 'dead letter',
  totals: 'skipped',
  tenants: 'processed',
  alerts: 'skipped',
  deliveries: 'skipped',
} as const;
const keyMatters = {
  usage: 'processed',
  totals: 'dead letter',
  tenants: 'dead letter',
  alerts: 'processed',
  deliveries: 'dead letter',
} as const;
const keyNeeded = {
  usage: 'processed',
  totals: 'refused',
  tenants: 'refused',
  alerts: 'processed',
  deliveries: 'refused',
} as const;
const depth = 100_000;

export const invalidRecordKinds: readonly InvalidRecordKind[] = [
  { name: 'no value', record: (good) => keyed(good, null), fate: deadLetterOnUsage },
  { name: 'an empty value', record: (good) => keyed(good, ''), fate: 'dead letter' },
  { name: '900 kB', record: (good) => keyed(good, Buffer.alloc(900_000, 'x')), fate: 'dead letter' },
  { name: 'UTF-16', record: (good) => keyed(good, Buffer.from(good.value, 'utf16le')), fate: 'dead letter' },
  {
    name: 'bytes that are not text',
    record: (good) => keyed(good, Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28])),
    fate: 'dead letter',
  },
  {
    name: 'text that is not JSON',
    record: (good) => keyed(good, 'tenant=acme units=1'),
    fate: 'dead letter',
  },
  { name: 'the JSON null', record: (good) => keyed(good, 'null'), fate: 'dead letter' },
  { name: 'a JSON list', record: (good) => keyed(good, `[${good.value}]`), fate: 'dead letter' },
  { name: 'an empty JSON object', record: (good) => keyed(good, '{}'), fate: 'dead letter' },
  {
    name: 'JSON of great depth',
    record: (good) => keyed(good, '['.repeat(depth) + ']'.repeat(depth)),
    fate: 'dead letter',
  },
  {
    name: 'JSON with the name __proto__',
    record: (good) => keyed(good, `{"__proto__":${good.value}}`),
    fate: 'dead letter',
  },
  {
    name: 'JSON that is cut off',
    record: (good) => keyed(good, good.value.slice(0, -5)),
    fate: 'dead letter',
  },
  {
    name: '1e300 units',
    record: ({ key, value }) => ({
      key,
      value: JSON.stringify(withUnits(JSON.parse(value) as Fields, 1e300)),
    }),
    fate: {
      usage: 'dead letter',
      totals: 'dead letter',
      tenants: 'dead letter',
      alerts: 'processed',
      deliveries: 'processed',
    },
  },
  {
    name: 'a key that is not text',
    record: ({ value }) => ({ key: Buffer.from([0xff, 0x00, 0xc3, 0x28]), value }),
    fate: keyMatters,
  },
  {
    name: 'the key of another tenant',
    record: ({ value }) => ({ key: 'another-tenant', value }),
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
    fate: 'processed',
  },
  { name: 'the time 1970', record: ({ key, value }) => ({ key, value, timestamp: 1 }), fate: 'processed' },
  ...['gzip', 'snappy', 'lz4', 'zstd'].map((codec): InvalidRecordKind => ({
    name: `compressed with ${codec}`,
    record: ({ key, value }) => ({ key, value }),
    config: { 'compression.type': codec },
    fate: 'processed',
  })),
  {
    name: 'a decompression bomb',
    record: ({ key }) => ({ key, value: 40_000_000 }),
    config: { 'compression.type': 'zstd' },
    fate: 'dead letter',
  },
  {
    name: 'a committed transaction',
    record: ({ key, value }) => ({ key, value }),
    transaction: 'commit',
    fate: 'processed',
  },
];

interface Fields {
  readonly data?: object;
  readonly day?: object;
  readonly alert?: object;
  readonly used?: number;
}

/** Sets the number of units in a record of any topic. A tenant record has no units, so a limit is set instead. */
function withUnits(fields: Fields, units: number): object {
  if (fields.data !== undefined) return { ...fields, data: { ...fields.data, units } };
  if (fields.day !== undefined) return { ...fields, day: { ...fields.day, consumed: units } };
  if (fields.alert !== undefined) return { ...fields, alert: { ...fields.alert, used: units } };
  return fields.used === undefined ? { ...fields, overrides: { minute: units } } : { ...fields, used: units };
}
