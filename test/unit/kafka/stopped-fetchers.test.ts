import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { patchStoppedFetchers } from '../../../shared/kafka/kafkajs/patches/stopped-fetchers.ts';
import { eventually } from '../../support/servers.ts';

interface Runner {
  start(): Promise<void>;
  stop(): Promise<void>;
}

type RunnerClass = new (options: object) => Runner;

/** Fetches after which the consumer counts as fetching without end. */
const fetchesMax = 200;

/** A consumer group of kafkajs without a server: a test decides when a fetch ends, and which brokers there are. */
function createGroup(): {
  brokers: number[];
  readonly fetches: Map<number, () => void>;
  /** Reads of the list of brokers since it changed: one for each fetch. */
  readonly reads: () => number;
  readonly crashes: unknown[];
  readonly runner: Runner;
} {
  const group = { brokers: [1, 2], fetches: new Map<number, () => void>(), crashes: [] as unknown[] };
  let reads = 0;
  const logger = {
    namespace: () => logger,
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: () => {},
  };
  const consumerGroup = {
    connect: () => Promise.resolve(),
    joinAndSync: () => Promise.resolve(),
    leave: () => Promise.resolve(),
    heartbeat: () => Promise.resolve(),
    getNodeIds: () => {
      // No timeout of a test could end the loop.
      if (group.brokers.length > 2 && ++reads > fetchesMax) throw new Error('fetches without end');
      return group.brokers;
    },
    fetch: (nodeId: number) => new Promise((resolve) => group.fetches.set(nodeId, () => resolve([]))),
  };
  const Class = createRequire(import.meta.url)('kafkajs/src/consumer/runner.js') as RunnerClass;
  const runner = new Class({
    ...{ logger, consumerGroup, instrumentationEmitter: { emit: () => {} }, concurrency: 1 },
    onCrash: (error: unknown) => void group.crashes.push(error),
  });
  return Object.assign(group, { runner, reads: () => reads });
}

test('a consumer that stops while the list of brokers changes ends, and fetches no more', async () => {
  patchStoppedFetchers();
  const group = createGroup();
  await group.runner.start();
  await eventually(() => group.fetches.size === 2);
  // The next fetch of broker 1 finds another broker, and waits until the fetch of broker 2 has ended.
  group.brokers = [1, 2, 3];
  group.fetches.get(1)?.();
  await new Promise((resolve) => setImmediate(resolve));
  const stopped = group.runner.stop();
  group.fetches.get(2)?.();
  await stopped;
  expect(group.crashes).toEqual([]);
  expect(group.reads()).toBeLessThan(fetchesMax);
  expect(group.fetches.size).toBe(2);
});
