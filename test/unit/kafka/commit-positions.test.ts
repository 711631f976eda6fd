import { expect, test } from 'vitest';
import type { ConsumerBlock } from '../../../shared/kafka/consumer/buffer.ts';
import { createCommitPositions } from '../../../shared/kafka/consumer/commit-positions.ts';

function blockTo(offset: number): ConsumerBlock {
  return { messages: [], unreadable: [], offsets: [{ topic: 'usage', partition: 0, offset }], generation: 1 };
}

test('a handled offset is committed once, and after a record that is held only when it is released', () => {
  let heldFrom: number | null = 12;
  const positions = createCommitPositions({
    from: () => heldFrom,
    oldestMs: () => null,
    untilDueMs: () => null,
    noteReadToEnd: () => undefined,
  });
  const commit = (...blocks: readonly ConsumerBlock[]): number[] => {
    const offsets = positions.handled(blocks);
    positions.committed(offsets);
    return offsets.map(({ offset }) => offset);
  };
  expect(commit(blockTo(10))).toEqual([10]);
  expect(commit(blockTo(20))).toEqual([12]);
  expect(commit()).toEqual([]);
  heldFrom = null;
  expect(commit()).toEqual([20]);
});

test.each([3, 10])(
  'the offsets of a topic that was created again are committed, although the old topic was committed up to 10: %i',
  (offset) => {
    const positions = createCommitPositions(undefined);
    positions.committed(positions.handled([blockTo(10)]));
    expect(positions.handled([blockTo(offset)])).toEqual([{ topic: 'usage', partition: 0, offset }]);
  },
);
