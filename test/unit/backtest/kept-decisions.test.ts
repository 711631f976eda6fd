import { expect, test } from 'vitest';
import { keptReason } from '../../../shared/backtest/replay/kept-decisions.ts';
import { policyOf } from '../policy/text.ts';
import { recordedEvent } from './events.ts';

test.each([
  ['blocked', 'not_a_limit'],
  ['unauthenticated', 'not_a_limit'],
  ['out_of_scope', 'not_a_limit'],
  ['invalid', 'not_a_limit'],
  ['unavailable', 'unavailable'],
  ['minute', null],
])('a request that was refused because of %s: the decision is kept for the reason %s', (reason, kept) => {
  const event = recordedEvent({ decision: 'limited', limitedBy: [reason], units: 0 });
  expect(keptReason(event, policyOf())).toBe(kept);
});
