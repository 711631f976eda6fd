// Goal: the list of sessions is bounded, whatever clients do, and never delays or spoils what another process wrote.
import { expect, test } from 'vitest';
import type { SessionEntry } from '../../../shared/domain/topics/session-entry.ts';
import type { ProducerRecord } from '../../../shared/kafka/producer/producer.ts';
import { createTableContent } from '../../../shared/kafka/tables/table-content.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';
import { createSessionListOn, listedMax } from '../../../shared/sessions/session-list.ts';
import type { ListedEntry, SessionList } from '../../../shared/sessions/session-list.ts';

const clock = { nowMs: 1_800_000_000_000, now: () => clock.nowMs };

interface Listing {
  readonly list: SessionList;
  readonly stored: ReadonlyMap<string, SessionEntry>;
  readonly ended: Set<string>;
  readonly over: Set<string>;
  /** Records of each send. */
  readonly sends: (readonly ProducerRecord[])[];
  isReady: boolean;
  isAway: boolean;
}

function listing(): Listing {
  const [ended, over] = [new Set<string>(), new Set<string>()];
  let stored: ReadonlyMap<string, SessionEntry> = new Map();
  let offset = 0;
  const sends: (readonly ProducerRecord[])[] = [];
  const state = { isReady: true, isAway: false };
  const list = createSessionListOn(
    {
      topics: { sessions: 'sessions' },
      producer: {
        send: (_topic, records) => {
          sends.push(records);
          if (state.isAway) return Promise.reject(new TollgateError('KAFKA_UNAVAILABLE', 'away'));
          return Promise.resolve(records.map(() => ({ partition: 0, offset: (offset += 1) })));
        },
      },
      ended: { has: ({ id }) => ended.has(id) },
      isSourceOver: (id) => over.has(id),
      clock,
      logger: createLogger('test', 'silent'),
    },
    (onChange) => {
      const content = createTableContent(onChange);
      stored = content.entries();
      return {
        get: (id) => content.get(id),
        entries: () => content.entries(),
        applyOwn: (id, entry, order) => content.put(id, entry, order),
        ready: () => state.isReady,
        close: () => Promise.resolve(),
      };
    },
  );
  return Object.assign(state, { list, stored, ended, over, sends });
}

let count = 0;
function entry(more: Partial<ListedEntry> = {}): ListedEntry & { usedAtMs: number } {
  return {
    ...{ id: `session-${(count += 1)}`, kind: 'session', owner: 'tenant a', name: 'a' },
    ...{ startedAtMs: clock.nowMs, expiresAtMs: clock.nowMs + 8 * 3_600_000 },
    ...{ source: {}, network: '192.0.2.x', agent: 'Firefox' },
    ...more,
    usedAtMs: clock.nowMs,
  };
}

const settled = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('an owner that signs in and out in a loop has a bounded number of entries, also while Kafka is slow', async () => {
  for (const isSlow of [false, true]) {
    const { list, stored, ended, sends } = listing();
    for (let round = 0; round < 1_000; round += 1) {
      const session = entry();
      list.note(session);
      if (!isSlow) await settled();
      expect(list.of('tenant a').length).toBeLessThanOrEqual(1);
      ended.add(session.id);
      expect(stored.size).toBeLessThanOrEqual(2 * listedMax);
    }
    await settled();
    expect(stored.size).toBeLessThanOrEqual(2);
    expect(sends.flat().length).toBeLessThanOrEqual(2_000);
    expect(list.isFull('tenant a', 'session')).toBe(false);
  }
});

test('entries that have ended are all removed by a later write, of every owner', async () => {
  const { list, stored } = listing();
  for (let tenant = 0; tenant < 20; tenant += 1)
    for (let round = 0; round < 100; round += 1) {
      list.note(entry({ owner: `tenant ${tenant}` }));
      if (round % 50 === 49) await settled();
    }
  expect(stored.size).toBe(2_000);
  clock.nowMs += 9 * 3_600_000;
  list.add(entry({ kind: 'link' }));
  await settled();
  expect(stored.size).toBe(1);
});

test('sessions of a credential that is no longer valid make room at once, and are removed later', async () => {
  const { list, stored, over } = listing();
  const leaked = Array.from({ length: listedMax }, () => entry());
  for (const session of leaked) list.note(session);
  await settled();
  expect(list.isFull('tenant a', 'session')).toBe(true);
  for (const { id } of leaked) over.add(id);
  expect([list.isFull('tenant a', 'session'), list.of('tenant a')]).toEqual([false, []]);
  list.note(entry());
  await settled();
  expect([list.of('tenant a').length, stored.size]).toEqual([1, listedMax + 1]);
  clock.nowMs += 11 * 60_000;
  list.note(entry());
  await settled();
  expect(stored.size).toBe(2);
});

test('a use without browser and network adds no recent session, nor one while the topic is unread', () => {
  const state = listing();
  const session = entry({ network: '', agent: '' });
  state.list.note(session);
  expect(state.list.find(session.id)).toBeNull();
  const old = { ...session, startedAtMs: clock.nowMs - 60_000 };
  state.isReady = false;
  state.list.note(old);
  expect(state.list.find(session.id)).toBeNull();
  state.isReady = true;
  state.list.note(old);
  expect(state.list.find(session.id)).toEqual(old);
});

test('a link is listed at once while Kafka refuses it, and is sent again ever more rarely', async () => {
  const state = listing();
  state.isAway = true;
  const link = entry({ kind: 'link' });
  state.list.add(link);
  expect(state.list.find(link.id)).toEqual(link);
  await settled();
  for (let round = 0; round < 10; round += 1) state.list.note(entry());
  await settled();
  expect(state.sends).toHaveLength(1);
  await state.list.close();
});
