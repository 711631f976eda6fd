// Goal: an unexpected error makes a dead letter only of the record that causes it, and never stops a consumer for ever.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { ConsumerBlock } from '../../../shared/kafka/consumer/buffer.ts';
import { createHandling } from '../../../shared/kafka/consumer/handling.ts';
import type { NewDeadLetter } from '../../../shared/domain/topics/dead-letter.ts';
import { failureOf } from '../../../shared/kafka/consumer/retry-policy.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { consumerMetrics } from '../../../shared/kafka/metrics.ts';
import { TollgateError } from '../../../shared/runtime/errors.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const [second, minute] = [1_000, 60_000];

function message(offset: number): ConsumedMessage {
  const value = Buffer.from(`record-${offset}`);
  return {
    topic: 't',
    partition: 0,
    offset,
    key: 'acme',

    value,
    headers: {},
    timestampMs: 0,
  };
}

/** Handles a block of `count` records with a handler that throws for some of them. */
function start(count: number, fail: (offset: number) => Error | null) {
  const block: ConsumerBlock = {
    messages: Array.from({ length: count }, (_, index) => message(index)),
    unreadable: [],
    offsets: [],
    generation: 0,
  };
  const letters: Omit<NewDeadLetter, 'atMs'>[] = [];
  const handled = new Set<number>();
  const registry = new Registry();
  const closing = new AbortController();
  let calls = 0;
  const handling = createHandling({
    group: 'g',
    onBatch({ messages }) {
      calls += 1;
      for (const { offset } of messages) {
        const error = fail(offset);
        if (error !== null) throw error;
      }
      for (const { offset } of messages) handled.add(offset);
      return Promise.resolve(undefined);
    },
    deadLetters: {
      write: (given) => {
        letters.push(...given);
        return Promise.resolve();
      },
    },
    isCurrent: () => true,
    onAttempt: () => undefined,
    closing: closing.signal,
    metrics: consumerMetrics(registry, 'g'),
    logger: pino({ level: 'silent' }),
  });
  const state = { isDone: false };
  void handling.handle(block).then((done) => (state.isDone = done));
  return { letters, handled, registry, state, closing, calls: () => calls };
}

const reasonsOf = (letters: readonly { readonly offset: number | null; readonly reason: string }[]) =>
  letters.map(({ offset, reason }) => [offset, reason]);

describe('the kind of a failure', () => {
  test.each([
    new TypeError('x'),
    new RangeError('x'),
    new SyntaxError('x'),
    new Error('x'),
    'text',
    new DOMException('x'),
  ])('an error without a code is unexpected: %o', (error) => {
    expect(failureOf(error)).toBe('unexpected');
  });

  test('content is a closed list of codes; every other error with a code is an outage', () => {
    expect(failureOf(new TollgateError('REDIS_VALUE_REFUSED', 'x'))).toBe('content');
    expect(failureOf(new TollgateError('CLICKHOUSE_QUERY_FAILED', 'x'))).toBe('outage');
  });
});

describe('an unexpected error', () => {
  test('that ends by itself makes no dead letter', async () => {
    let failing = true;
    const { letters, handled, state } = start(100, () => (failing ? new TypeError('x') : null));
    await vi.advanceTimersByTimeAsync(5 * minute);
    expect([letters.length, state.isDone]).toEqual([0, false]);
    failing = false;
    await vi.advanceTimersByTimeAsync(10 * second);
    expect([letters.length, handled.size, state.isDone]).toEqual([0, 100, true]);
  });

  test('of one record delays the others for seconds, and the dead letter states it', async () => {
    const bad = new Set([7]);
    const { letters, handled, state } = start(100, (offset) =>
      bad.has(offset) ? new TypeError('cannot read x') : null,
    );
    await vi.advanceTimersByTimeAsync(8 * second);
    expect([letters.length, handled.size]).toEqual([0, 99]);
    await vi.advanceTimersByTimeAsync(12 * second);
    expect(state.isDone).toBe(true);
    expect(reasonsOf(letters)).toEqual([[7, 'processing-failed: cannot read x']]);
  });

  test('of one record that ends after a while makes no dead letter', async () => {
    let failing = true;
    const { letters, handled, state } = start(10, (offset) =>
      failing && offset === 0 ? new TypeError('x') : null,
    );
    await vi.advanceTimersByTimeAsync(8 * second);
    failing = false;
    await vi.advanceTimersByTimeAsync(5 * second);
    expect([letters.length, handled.size, state.isDone]).toEqual([0, 10, true]);
  });

  test('makes no dead letter while the handler fails for every record', async () => {
    let isBroken = false;
    const { letters, handled, state } = start(10, (offset) =>
      isBroken || offset === 3 ? new TypeError('x') : null,
    );
    await vi.advanceTimersByTimeAsync(5 * second);
    expect(handled.size).toBe(9);
    isBroken = true;
    await vi.advanceTimersByTimeAsync(10 * minute);
    expect([letters.length, state.isDone]).toEqual([0, false]);
    isBroken = false;
    await vi.advanceTimersByTimeAsync(10 * second);
    expect([reasonsOf(letters), state.isDone]).toEqual([[[3, 'processing-failed: x']], true]);
  });

  test('of many records is retried for minutes before they become dead letters', async () => {
    const { letters, state } = start(100, (offset) => (offset < 30 ? new TypeError('x') : null));
    await vi.advanceTimersByTimeAsync(4 * minute);
    expect(letters).toEqual([]);
    await vi.advanceTimersByTimeAsync(2 * minute);
    expect([letters.length, state.isDone]).toEqual([30, true]);
  });

  test('of every record makes one dead letter in a quarter of an hour', async () => {
    const { letters, calls } = start(1_000, () => new TypeError('x'));
    await vi.advanceTimersByTimeAsync(14 * minute);
    expect(letters).toEqual([]);
    await vi.advanceTimersByTimeAsync(2 * minute);
    expect(letters).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(13 * minute);
    expect(letters).toHaveLength(1);
    // A round makes about 40 attempts. Halving the block down to single records would need 2,000.
    expect(calls()).toBeLessThan(400 * 60);
  });

  test('of the only record does not stop the consumer for ever', async () => {
    const { letters, state } = start(1, () => new TypeError('x'));
    await vi.advanceTimersByTimeAsync(16 * minute);
    expect([reasonsOf(letters), state.isDone]).toEqual([[[0, 'processing-failed: x']], true]);
  });

  test('is counted from zero on, so that an alert sees the first one', async () => {
    const { registry } = start(1, () => new TypeError('x'));
    const counted = async () => registry.getSingleMetricAsString('tollgate_kafka_unexpected_failures_total');
    await vi.advanceTimersByTimeAsync(0);
    expect(await counted()).toContain('{group="g"} 1');
    expect(await start(1, () => null).registry.metrics()).toContain('unexpected_failures_total{group="g"} 0');
  });

  test('is not retried after the consumer has closed', async () => {
    const { letters, closing, state, calls } = start(10, () => new TypeError('x'));
    await vi.advanceTimersByTimeAsync(minute);
    closing.abort();
    const before = calls();
    await vi.advanceTimersByTimeAsync(20 * minute);
    expect([letters.length, state.isDone, calls()]).toEqual([0, false, before]);
  });
});

test('a record whose content fails becomes a dead letter at once', async () => {
  const { letters, handled, state } = start(100, (offset) =>
    offset === 7 ? new TollgateError('REDIS_VALUE_REFUSED', 'too large') : null,
  );
  await vi.advanceTimersByTimeAsync(second);
  expect([handled.size, state.isDone]).toEqual([99, true]);
  expect(reasonsOf(letters)).toEqual([[7, 'could not be handled: too large']]);
});
