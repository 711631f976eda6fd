import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeShare } from '../../../shared/redis/fallback/node-share.ts';

test.each([
  { limit: 0, nodes: 3, share: 0 },
  { limit: 1, nodes: 1, share: 1 },
  { limit: 1, nodes: 3, share: 1 },
  { limit: 10, nodes: 3, share: 3 },
  { limit: 12, nodes: 3, share: 4 },
  { limit: 10, nodes: 0, share: 10 },
])('a node of $nodes grants $share of a limit of $limit', ({ limit, nodes, share }) => {
  expect(nodeShare(limit, nodes)).toBe(share);
});

test('all nodes together grant at most the limit, or one unit each where the limit is smaller than the nodes', () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), fc.integer({ min: 1, max: 1_000 }), (limit, nodes) => {
      expect(nodeShare(limit, nodes) * nodes).toBeLessThanOrEqual(limit === 0 ? 0 : Math.max(limit, nodes));
    }),
  );
});
