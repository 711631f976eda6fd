import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEndedSessions } from '../../../shared/sessions/ended-sessions.ts';
import type { EndedSessions } from '../../../shared/sessions/ended-sessions.ts';
import type { Producer } from '../../../shared/kafka/producer/producer.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
const opened: EndedSessions[] = [];
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(async () => {
  await Promise.all(opened.map((ends) => ends.close()));
  await fixture.dispose();
});

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };
const hourMs = 3_600_000;

async function open(producer: Producer = fixture.producer): Promise<EndedSessions> {
  const { kafka, topics } = fixture;
  const ends = createEndedSessions({ kafka, topics, producer, clock, registry: createRegistry('test') });
  opened.push(ends);
  await eventually(() => ends.ready());
  return ends;
}

function session(owner: string): { id: string; owner: string; startedAtMs: number; expiresAtMs: number } {
  return { id: uniqueName('session'), owner, startedAtMs: clock.nowMs, expiresAtMs: clock.nowMs + hourMs };
}

test('a sign-out that Kafka does not store rejects, holds in this process, and is written with the next one', async () => {
  let failures = 1;
  const producer: Producer = {
    ...fixture.producer,
    send: (topic, records) =>
      failures-- > 0
        ? Promise.reject(new TollgateError('KAFKA_UNAVAILABLE', 'away'))
        : fixture.producer.send(topic, records),
  };
  const [here, elsewhere] = [await open(producer), await open()];
  const owner = uniqueName('tenant');
  const [lost, next] = [session(owner), session(owner)];
  await expect(here.end(lost)).rejects.toThrow('away');
  expect(here.has(lost)).toBe(true);
  expect(elsewhere.has(lost)).toBe(false);
  await here.end(next);
  await eventually(() => elsewhere.has(next) && elsewhere.has(lost));
});

test('ending all sessions of an owner ends those that started before, no later one, and none of another owner', async () => {
  const ends = await open();
  const owner = uniqueName('tenant');
  const [old, other] = [session(owner), session(uniqueName('tenant'))];
  await ends.endAll(owner);
  clock.nowMs += 1;
  expect(ends.has(old)).toBe(true);
  expect(ends.has(session(owner))).toBe(false);
  expect(ends.has(other)).toBe(false);
  const later = await open();
  expect([later.has(old), later.has(other)]).toEqual([true, false]);
});

test('ending the other sessions of an owner keeps the named ones, which still end with all sessions', async () => {
  const ends = await open();
  const owner = uniqueName('tenant');
  const [own, other] = [session(owner), session(owner)];
  await ends.endOthers(owner, [own.id]);
  const elsewhere = await open();
  for (const one of [ends, elsewhere]) expect([one.has(own), one.has(other)]).toEqual([false, true]);
  await ends.end(own);
  expect(ends.has(own)).toBe(true);
  const next = session(owner);
  await ends.endAll(owner);
  await ends.endOthers(owner, [next.id]);
  expect(ends.has(next)).toBe(true);
});

test('ends of expired sessions are deleted from the topic', async () => {
  const ends = await open();
  const gone = session(uniqueName('tenant'));
  await ends.end(gone);
  clock.nowMs += hourMs;
  for (let count = 0; count < 2; count += 1) await ends.end(session(uniqueName('tenant')));
  expect(ends.has(gone)).toBe(false);
  expect((await open()).has(gone)).toBe(false);
});
