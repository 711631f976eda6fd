import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  eventBounds,
  publishedTimeBounds,
  storedTimeBounds,
} from '../../../../shared/domain/events/bounds.ts';
import { idLengthMax } from '../../../../shared/domain/identity.ts';
import { groupsOfTenantMax } from '../../../../services/gateway/ingest/event-groups.ts';
import { bodyBytesMax } from '../../../../services/gateway/entrypoints/api/api-server.ts';

const figures = new Intl.NumberFormat('en-US');
const days = (ms: number): string => `${ms / 86_400_000} days`;

const rows: Readonly<Record<string, string>> = {
  '`id`, `source`, `subject`, `data.user_id`, `data.plan`': characters(idLengthMax),
  '`type`': characters(eventBounds.typeLengthMax),
  '`data.route`': characters(eventBounds.routeLengthMax),
  '`data.units`': figures.format(eventBounds.unitsMax),
  '`data.cost`': figures.format(eventBounds.costMax),
  'properties of `data`': figures.format(eventBounds.propertiesMax),
  'name of a property': characters(eventBounds.propertyNameLengthMax),
  'a property': characters(eventBounds.propertyLengthMax),
  'extension attributes': figures.format(eventBounds.extensionsMax),
  'name of an extension attribute': characters(eventBounds.extensionNameLengthMax),
  'a property or extension that is a number': `±2^${Math.log2(eventBounds.propertyNumberMax)}`,
  'objects and lists inside each other': `${eventBounds.depthMax} levels`,
  'one event, as JSON': bytes(eventBounds.publishedBytesMax),
  'one event in Kafka': bytes(eventBounds.storedBytesMax),
  'combinations of `type`, `data.plan` and `data.route` of a tenant, published over HTTP in a UTC day on a node':
    figures.format(groupsOfTenantMax),
  'events of a batch': figures.format(eventBounds.batchEventsMax),
  'a request, as sent and as decoded': bytes(bodyBytesMax),
  'time in the future': `${publishedTimeBounds(400).aheadMsMax / 60_000} minutes`,
  age: days(publishedTimeBounds(400).lateMsMax),
};

test('docs/events.md lists the bounds of the contract', () => {
  const text = readFileSync('docs/events.md', 'utf8');
  const [, table = ''] = /\| what \| at most \|\n\| --- \| --- \|\n((?:\|.*\n)+)/.exec(text) ?? [];
  const written = table
    .trim()
    .split('\n')
    .map((line) => line.slice(2, -2).split(' | '));
  expect(Object.fromEntries(written)).toEqual(rows);
});

test('docs/events.md says what the retention of raw events leaves of the age', () => {
  const text = readFileSync('docs/events.md', 'utf8').replaceAll('\n', ' ');
  expect(text).toContain(`${days(publishedTimeBounds(30).lateMsMax)} with a retention of 30 days`);
  expect(text).toContain(`${publishedTimeBounds(2).lateMsMax / 3_600_000} hours with 2 days`);
  expect(storedTimeBounds(400).lateMsMax - publishedTimeBounds(400).lateMsMax).toBeGreaterThanOrEqual(
    8 * 86_400_000,
  );
});

function characters(count: number): string {
  return `${figures.format(count)} characters`;
}

function bytes(count: number): string {
  return `${figures.format(count)} bytes`;
}
