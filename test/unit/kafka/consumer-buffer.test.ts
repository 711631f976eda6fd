// Goal: a batch is cut when it is worth its fixed cost, and the memory of the records that wait is bounded.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createConsumerBuffer } from '../../../shared/kafka/consumer/buffer.ts';
import { messages } from './messages.ts';

const lingerMs = 150;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the time at which a block is due', () => {
  function startBuffer(isBusy: () => boolean = () => false) {
    const { signal } = new AbortController();
    const buffer = createConsumerBuffer({ batchRecordsMax: 1_000, batchBytesMax: 1e9, lingerMs, signal });
    const sizes: number[] = [];
    void (async () => {
      for (;;) {
        const next = await buffer.next(Infinity, isBusy);
        if (next === null) return;
        sizes.push(next.messages.length);
      }
    })();
    const add = (records: number): void =>
      buffer.add({
        ...{ topic: 't', partition: 0, nextOffset: 0, commitOffset: 0, unreadable: [] },
        messages: messages(records),
      });
    return { buffer, sizes, add };
  }

  test('a record after a pause waits a moment only, the records of a trickle wait for each other', async () => {
    const { sizes, add } = startBuffer();
    await vi.advanceTimersByTimeAsync(1_000);
    add(1);
    await vi.advanceTimersByTimeAsync(20);
    expect(sizes).toEqual([1]);
    for (let ms = 0; ms < 1_500; ms += 10) {
      add(1);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(sizes.length).toBeLessThanOrEqual(1 + 1_500 / lingerMs);
  });

  test('many records shorten the interval, and a full block is due at once', async () => {
    const { sizes, add } = startBuffer();
    for (let ms = 0; ms < 1_500; ms += 10) {
      add(20);
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(sizes.length).toBeGreaterThanOrEqual(20);
    const before = sizes.length;
    add(1_000);
    await vi.advanceTimersByTimeAsync(1);
    expect(sizes.length).toBeGreaterThan(before);
  });

  test('while a later stage is busy, records are gathered until it is idle or the block is full', async () => {
    let isBusy = true;
    const { buffer, sizes, add } = startBuffer(() => isBusy);
    add(100);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(sizes).toEqual([]);
    add(900);
    await vi.advanceTimersByTimeAsync(1);
    expect(sizes).toEqual([1_000]);
    add(50);
    await vi.advanceTimersByTimeAsync(5_000);
    isBusy = false;
    buffer.recheck();
    await vi.advanceTimersByTimeAsync(1);
    expect(sizes).toEqual([1_000, 50]);
  });

  test('fetches continue as soon as a block leaves a full buffer, and heartbeats are sent until then', async () => {
    const { signal } = new AbortController();
    const buffer = createConsumerBuffer({ batchRecordsMax: 10, batchBytesMax: 1e9, lingerMs, signal });
    buffer.add({
      ...{ topic: 't', partition: 0, nextOffset: 0, commitOffset: 0, unreadable: [] },
      messages: messages(10),
    });
    let [heartbeats, continued] = [0, 0];
    const heartbeat = (): Promise<void> => {
      heartbeats += 1;
      return Promise.resolve();
    };
    const waitForRoom = (): void => void buffer.waitForRoom(heartbeat).then(() => (continued += 1));
    waitForRoom();
    waitForRoom();
    await vi.advanceTimersByTimeAsync(1_600);
    expect([heartbeats, continued]).toEqual([6, 0]);
    await buffer.next();
    await vi.advanceTimersByTimeAsync(1);
    expect(continued).toBe(2);
  });

  test('the size of a buffered record includes its key and its headers', () => {
    const { signal } = new AbortController();
    const buffer = createConsumerBuffer({ batchRecordsMax: 1_000, batchBytesMax: 100, lingerMs, signal });
    const add = (key: string | null, headers: Record<string, string>): void =>
      buffer.add({
        ...{ topic: 't', partition: 0, nextOffset: 0, commitOffset: 0, unreadable: [] },
        messages: messages(1).map((message) => ({ ...message, key, headers })),
      });
    add('k'.repeat(50), {});
    add(null, { name: 'v'.repeat(45) });
    expect(buffer.isFull()).toBe(false);
    add('k', {});
    expect(buffer.isFull()).toBe(true);
  });
});
