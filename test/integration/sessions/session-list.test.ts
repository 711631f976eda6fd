import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createSessionList, listedMax } from '../../../shared/sessions/session-list.ts';
import type { ListedEntry, SessionList } from '../../../shared/sessions/session-list.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
const opened: SessionList[] = [];
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(async () => {
  await Promise.all(opened.map((list) => list.close()));
  await fixture.dispose();
});

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };
const hourMs = 3_600_000;
const ended = new Set<string>();

async function open(producer: Pick<Producer, 'send'> = fixture.producer): Promise<SessionList> {
  const list = createSessionList({
    ...{ kafka: fixture.kafka, topics: fixture.topics, producer, clock },
    ended: { has: ({ id }) => ended.has(id) },
    isSourceOver: () => false,
    registry: createRegistry('test'),
    logger: createLogger('test', 'silent'),
  });
  opened.push(list);
  await eventually(() => list.ready());
  return list;
}

function entry(owner: string): ListedEntry & { usedAtMs: number } {
  return {
    ...{ id: uniqueName('session'), kind: 'session', owner, name: owner, source: { via: 'jwt' } },
    ...{ startedAtMs: clock.nowMs, expiresAtMs: clock.nowMs + hourMs, usedAtMs: clock.nowMs },
    ...{ network: '192.0.2.x', agent: 'Firefox' },
  };
}

test('a session that Kafka did not take is listed here at once, and elsewhere with a later write', async () => {
  let failures = 1;
  const [here, elsewhere] = [
    await open({
      send: (topic, records) =>
        failures-- > 0
          ? Promise.reject(new TollgateError('KAFKA_UNAVAILABLE', 'away'))
          : fixture.producer.send(topic, records),
    }),
    await open(),
  ];
  const session = entry(uniqueName('tenant'));
  here.note(session);
  expect(here.of(session.owner)).toEqual([session]);
  await eventually(() => elsewhere.of(session.owner).length === 1);
  expect(elsewhere.of(session.owner)).toEqual([session]);
});

test('a later use keeps the facts of the sign-in; uses within ten minutes are not written', async () => {
  let writes = 0;
  const list = await open({
    send: (topic, records) => {
      writes += 1;
      return fixture.producer.send(topic, records);
    },
  });
  const elsewhere = await open();
  const session = entry(uniqueName('tenant'));
  for (const afterMs of [0, 1_000, 599_999, 600_000, 600_001])
    list.note({
      ...session,
      usedAtMs: session.usedAtMs + afterMs,
      ...(afterMs === 0 ? {} : { network: '', agent: '' }),
    });
  const [listed] = list.of(session.owner);
  expect(listed).toMatchObject({ usedAtMs: session.usedAtMs + 600_000 });
  await eventually(() => elsewhere.of(session.owner)[0]?.usedAtMs === session.usedAtMs + 600_000);
  expect(writes).toBeLessThanOrEqual(2);
});

test('an owner has a bounded number of listed sessions; ended and expired ones make room and are removed', async () => {
  const list = await open();
  const owner = uniqueName('tenant');
  const sessions = Array.from({ length: listedMax + 5 }, () => entry(owner));
  for (const one of sessions) list.note(one);
  await eventually(() => list.isFull(owner, 'session'));
  for (const one of sessions) list.note({ ...one, usedAtMs: clock.nowMs + hourMs / 2 });
  expect(list.of(owner)).toHaveLength(listedMax);
  expect(list.isFull(owner, 'link')).toBe(false);
  for (const one of list.of(owner).slice(0, 10)) ended.add(one.id);
  expect(list.of(owner)).toHaveLength(listedMax - 10);
  const next = entry(owner);
  list.note(next);
  expect(list.of(owner).some(({ id }) => id === next.id)).toBe(true);
  clock.nowMs += hourMs;
  expect(list.of(owner)).toEqual([]);
  const later = entry(owner);
  list.note(later);
  // The entries are removed by a write of a later minute.
  await eventually(() => {
    clock.nowMs += 60_000;
    list.note(entry(owner));
    return list.find(next.id) === null;
  });
  const fresh = await open();
  expect([fresh.find(later.id)?.id, fresh.find(next.id)]).toEqual([later.id, null]);
});
