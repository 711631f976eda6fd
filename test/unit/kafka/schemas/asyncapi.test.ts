import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { readAlert } from '../../../../shared/domain/topics/alert.ts';
import { readTotals } from '../../../../shared/domain/topics/totals.ts';
import { readSessionEnd } from '../../../../shared/domain/topics/session-end.ts';
import { asyncApiDocument, messageSchemas } from '../../../../shared/kafka/schemas/asyncapi.ts';
import { topicTable } from '../../../../dev/topic-table.ts';
import { topicsWith } from '../../../../shared/kafka/topics.ts';

const schemas = messageSchemas();
const ajv = new Ajv2020({ allowUnionTypes: true, validateFormats: false, strictTuples: false });

test('the document has a channel for each topic, each message has a schema, and every reference resolves', () => {
  const topics = topicsWith('acme.');
  const document = asyncApiDocument(topics);
  const channels = Object.values(document['channels'] as Record<string, { address: string }>);
  expect(channels.map(({ address }) => address).sort()).toEqual(Object.values<string>({ ...topics }).sort());
  const references = JSON.stringify(document).matchAll(/"\$ref":"#([^"]+)"/g);
  for (const [, path = ''] of references) {
    const target = path
      .slice(1)
      .split('/')
      .reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], document);
    expect(target, path).toBeDefined();
  }
});

test('every schema compiles as draft 2020-12', () => {
  for (const [name, schema] of Object.entries(schemas)) expect(() => ajv.compile(schema), name).not.toThrow();
});

const alert = {
  ...{ id: 'a', kind: 'threshold', tenant_id: 'acme', plan: 'pro', limit_name: 'day', threshold: 0.8 },
  ...{ period: '2026-11-26T00:00:00Z', limit: 10, used: 8, exhausted_at: null, at: '2026-11-26T10:00:00Z' },
};
const period = {
  ...{ start: '2026-11-26', requests: 1, allowed: 1, limited: 0, bypassed: 0, errors: 0 },
  ...{ units: 1, consumed: 1, cost: 0 },
};
const totals = {
  ...{ tenant_id: 'acme', plan: 'pro', day: period, month: period, complete_through: '' },
  announced_at: '2026-11-26T10:00:00Z',
};

test.each([
  ['alert', alert, (value: unknown) => readAlert(Buffer.from(JSON.stringify(value))) !== null],
  [
    'totals',
    totals,
    (value: unknown) => readTotals({ key: 'acme', value: Buffer.from(JSON.stringify(value)) }) !== null,
  ],
  [
    'sessionEnd',
    { owner: 'operators', validFromMs: 1 },
    (value: unknown) => readSessionEnd(Buffer.from(JSON.stringify(value))) !== undefined,
  ],
])('a value of %s is valid under its schema exactly if the service reads it', (name, value, isRead) => {
  const validate = ajv.compile(schemas[name]!);
  expect([validate(value), isRead(value)]).toEqual([true, true]);
  for (const field of Object.keys(value)) {
    for (const changed of [undefined, [], true]) {
      const other = { ...value, [field]: changed };
      const json: unknown = JSON.parse(JSON.stringify(other));
      expect(validate(json), `${field}: ${String(changed)}`).toBe(isRead(json));
    }
  }
});

test('docs/kafka.md has exactly the table that the descriptions of the topics give', () => {
  const documented = /<!-- topics: begin -->\n([^]*)<!-- topics: end -->/.exec(
    readFileSync('docs/kafka.md', 'utf8'),
  )?.[1];
  expect(documented, 'copy the output of node dev/topic-table.ts').toBe(`${topicTable()}\n`);
});
