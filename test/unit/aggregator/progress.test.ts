// Goal: "complete through" never covers a record that is not stored, and advances on idle partitions.
import { expect, test } from 'vitest';
import { createProgress } from '../../../services/aggregator/progress/progress.ts';
import type { LogEnd } from '../../../shared/kafka/offsets/topic-offsets.ts';

function createBench() {
  let ends: LogEnd[] = [];
  let nowMs = 1_000;
  const progress = createProgress(() => Promise.resolve(ends), { now: () => nowMs });
  return {
    progress,
    sampleAt: (atMs: number, end: number, committed = 0) => {
      nowMs = atMs;
      ends = [{ partition: 0, end, committed }];
      return progress.sample();
    },
  };
}

test('a partition is complete through the last instant whose records are all stored', async () => {
  const { progress, sampleAt } = createBench();
  await sampleAt(1_000, 10);
  await sampleAt(2_000, 20);
  expect(progress.of(0).completeThroughMs).toBe(0);
  progress.advance(0, 19);
  expect(progress.of(0).completeThroughMs).toBe(1_000);
  progress.advance(0, 20);
  expect(progress.of(0).completeThroughMs).toBe(2_000);
});

test('an idle partition advances, also after a restart that reads only the committed offset', async () => {
  const { progress, sampleAt } = createBench();
  await sampleAt(5_000, 42, 42);
  expect(progress.of(0)).toEqual({ partition: 0, completeThroughMs: 5_000, offset: 42 });
  await sampleAt(6_000, 42, 42);
  expect(progress.of(0).completeThroughMs).toBe(6_000);
});

test('it never decreases', async () => {
  const { progress, sampleAt } = createBench();
  await sampleAt(5_000, 10, 10);
  await sampleAt(6_000, 30, 5);
  progress.advance(0, 7);
  expect(progress.of(0)).toEqual({ partition: 0, completeThroughMs: 5_000, offset: 10 });
});

test('the samples of a long backlog are bounded, and its progress ends at the last one', async () => {
  const { progress, sampleAt } = createBench();
  for (let second = 1; second <= 5_000; second += 1) await sampleAt(second * 1_000, second * 10);
  progress.advance(0, 50_000);
  expect(progress.of(0).completeThroughMs).toBe(5_000_000);
});
