import { expect, test } from 'vitest';
import { assumptionsOf } from '../../../shared/backtest/assumptions.ts';
import { allLimits } from '../../../shared/backtest/warm-up.ts';
import { policyOf } from '../policy/text.ts';

test.each([
  [['user', 'ip'], false],
  [['tenant', 'ip'], false],
  [['user'], false],
  [['tenant'], false],
  [['key'], false],
  [['ip'], true],
  [['ip', 'model'], true],
  [['global'], true],
  [['group'], true],
])('a backtest of one tenant states whether tenants share a limit per %s: %s', (per, expected) => {
  const policy = policyOf();
  const limits = allLimits(policy)
    .slice(0, 1)
    .map((limit) => ({ ...limit, per }));
  const counts = { degraded: 0, withoutTime: 0, ofOtherRevisions: 0 };
  const facts = { policy, limits, kept: new Map(), ...counts, isWarmUpCut: false, isMerged: false };
  const codes = assumptionsOf({ ...facts, ofOneTenant: true }).map(({ code }) => code);
  expect(limits).toHaveLength(1);
  expect(codes.includes('one_tenant')).toBe(expected);
});
