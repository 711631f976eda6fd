// Goal: every event that the gateway answers with 202 is counted once, in the totals of every level. Method: unusual
// valid events and hostile events are published in each encoding, through the real gateway, spool, Kafka and aggregator
// into ClickHouse.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pino } from 'pino';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { listDeadLetters } from '../../shared/kafka/dead-letters/dead-letters.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { eventually, servers, uniqueName } from '../support/servers.ts';
import { hostileEvents } from '../unit/gateway/ingest/hostile-events.ts';

type Event = Readonly<Record<string, unknown>>;

let run: PolicyRun;
beforeAll(async () => {
  run = await runPolicy('default', {
    services: ['gateway', 'aggregator'],
    env: { TOLLGATE_RAW_RETENTION_DAYS: '30' },
  });
});
afterAll(() => run.stop());

const dayMs = 86_400_000;
const ago = (days: number): string => new Date(Date.now() - days * dayMs).toISOString();
const properties = (count: number): object =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, index]));

/**
 * Kinds of events on which the gateway and the aggregator once disagreed, and values just within and just beyond each
 * bound.
 */
const corpus: readonly (readonly [string, Event])[] = [
  ['a plain one', {}],
  ['a property of 4,096 characters', { data: { note: 'x'.repeat(4_096) } }],
  ['a property of 5,000 characters', { data: { note: 'x'.repeat(5_000) } }],
  ['64 properties', { data: properties(64) }],
  ['65 properties', { data: properties(65) }],
  ['a user that is a number', { data: { user_id: 42 } }],
  ['a plan that is a number', { data: { plan: 3 } }],
  ['a route of 600 characters', { data: { route: 'r'.repeat(600) } }],
  ['a lone surrogate', { data: { note: '\ud800' } }],
  ['a lone surrogate in a name', { data: { 'a\ud800': 1 } }],
  ['an age of 20 days', { time: ago(20) }],
  ['an age of 25 days', { time: ago(25) }],
  ['an age between retention and 365 days', { time: ago(100) }],
  ['a day that no calendar has', { time: `${new Date().getUTCFullYear()}-02-30T00:00:00Z` }],
  ['nine minutes ahead', { time: ago(-9 / 1440) }],
  ['units at the bound', { data: { units: 1e12 } }],
  ['units beyond it', { data: { units: 1.7e308 } }],
  ['a name of 200 characters', { data: { ['n'.repeat(200)]: 1 } }],
  ['properties of every kind', { data: { a: null, b: [1, { c: true }], __proto: 'x', constructor: 'y' } }],
  ['a nested property', { data: { deep: JSON.parse('['.repeat(200) + ']'.repeat(200)) as unknown } }],
  ['an extension', { traceparent: '00-ab', sampled: true }],
  [
    '64,000 characters',
    { data: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`p${i}`, 'x'.repeat(3_990)])) },
  ],
  [
    'as many of three bytes',
    { data: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`p${i}`, '漢'.repeat(3_990)])) },
  ],
  [
    'as many of six bytes in JSON',
    { data: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`p${i}`, '\u0001'.repeat(3_990)])) },
  ],
];

test('each event of the corpus that is accepted is counted once, and none is a dead letter', async () => {
  const tenant = uniqueName('acme');
  const accepted = new Set<string>();
  for (const [what, change] of corpus) {
    const of = (id: string): Event => ({ ...eventOf(tenant, id), ...change });
    const [one, many] = [of(`${what}, alone`), [of(`${what}, in a batch`), of(`${what}, in a batch too`)]];
    const { data, ...attributes } = of(`${what}, in headers`);
    await publish(accepted, [one], 'application/cloudevents+json', JSON.stringify(one));
    await publish(accepted, many, 'application/cloudevents-batch+json', JSON.stringify(many));
    await publish(
      accepted,
      [{ ...attributes, data }],
      'application/json',
      JSON.stringify(data),
      headersOf(attributes),
    );
  }
  const quoted = { ...eventOf(tenant, 'order "7"'), data: undefined };
  await publish(accepted, [quoted], 'application/json', '{}', {
    ...headersOf(quoted),
    'ce-id': '"order \\"7\\""',
  });
  const blind = { ...eventOf(tenant, 'nothing'), type: 'tollgate.void.v1', data: {} };
  await publish(accepted, [blind], 'application/cloudevents+json', JSON.stringify(blind));

  expect(accepted).not.toContain('nothing');
  expect([...accepted].filter((id) => id.startsWith('a plain one'))).toHaveLength(4);
  await untilCounted(accepted);
});

test('of hostile events those that are accepted are counted', async () => {
  const tenant = uniqueName('acme');
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  console.log(`hostile events: fast-check seed ${seed}`);
  const accepted = new Set<string>();
  const events = fc.sample(hostileEvents(Date.now()), { numRuns: 600, seed });
  for (let start = 0; start < events.length; start += 50) {
    const batch = events.slice(start, start + 50).map((event, index) => ({
      ...event,
      // A correction of an unknown event becomes a dead letter, and a repeated id counts once. This test covers neither
      // case, so it replaces the types of corrections and makes each id unique.
      type: String(event['type']).startsWith('tollgate.') ? 'tokens.used' : event['type'],
      id: typeof event['id'] === 'string' ? `${start + index} ${event['id']}` : event['id'],
      subject: event['subject'] === 'acme' ? tenant : event['subject'],
    }));
    await publish(accepted, batch, 'application/cloudevents-batch+json', JSON.stringify(batch));
  }
  expect(accepted.size).toBeGreaterThan(50);
  await untilCounted(accepted);
});

function eventOf(subject: string, id: string): Event {
  return { specversion: '1.0', id, source: '/app', type: 'tokens.used', subject, data: { units: 1 } };
}

function headersOf(attributes: Event): Record<string, string> {
  const texts = Object.entries(attributes).filter(([, value]) => value !== undefined);
  return Object.fromEntries(texts.map(([name, value]) => [`ce-${name}`, encodeURIComponent(String(value))]));
}

/** Publishes the events and adds the ids of the accepted events to `accepted`. */
async function publish(
  accepted: Set<string>,
  events: readonly Event[],
  type: string,
  body: string,
  headers = {},
) {
  const response = await fetch(`${run.installation.urls.api}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${run.serviceToken}`, 'content-type': type, ...headers },
    body,
  });
  const { results } = (await response.json()) as { results?: { status: string }[] };
  expect([202, 400], `${response.status} ${JSON.stringify(events[0]).slice(0, 200)}`).toContain(
    response.status,
  );
  for (const [index, result] of (results ?? []).entries()) {
    if (result.status === 'accepted') accepted.add(String(events[index]?.['id']));
  }
}

/**
 * Waits until ClickHouse stores each accepted event once and the totals of every level have the same number of events.
 */
async function untilCounted(accepted: ReadonlySet<string>): Promise<void> {
  await eventually(
    async () => {
      const rows = await run.clickhouse.query<{ id: string }>('SELECT event_id AS id FROM usage_events');
      const ids = rows.map(({ id }) => id).filter((id) => accepted.has(id));
      expect(missing(accepted, ids), await reasons()).toEqual([]);
      expect(ids).toHaveLength(accepted.size);
      const [sums] = await run.clickhouse.query<Record<string, number>>(
        `SELECT count() AS events, (SELECT sum(requests) FROM usage_by_minute) AS minutes,
          (SELECT sum(requests) FROM usage_by_hour) AS hours, (SELECT sum(requests) FROM usage_by_day) AS days
        FROM usage_events`,
      );
      expect(new Set(Object.values(sums ?? {})).size, JSON.stringify(sums)).toBe(1);
      return true;
    },
    { intervalMs: 250 },
  );
  expect(await reasons()).toBe('');
}

function missing(accepted: ReadonlySet<string>, stored: readonly string[]): string[] {
  const there = new Set(stored);
  return [...accepted].filter((id) => !there.has(id));
}

async function reasons(): Promise<string> {
  const prefix = run.installation.env['TOLLGATE_TOPIC_PREFIX'] ?? '';
  const kafka = createKafka({
    brokers: servers().kafkaBrokers,
    clientId: 'letters',
    logger: pino({ level: 'silent' }),
  });
  const letters = await listDeadLetters(kafka, topicsWith(prefix).deadLetters, { limit: 100 });
  return letters.map(({ reason }) => reason).join('\n');
}
