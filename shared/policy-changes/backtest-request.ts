import type { BacktestRequest } from '../backtest/run-backtest.ts';
import { readInstant } from '../domain/time/instant.ts';
import { rejection, success } from '../tenants/outcome.ts';
import type { Outcome } from '../tenants/outcome.ts';
import type { PolicyEditor } from './policy-editor.ts';

export interface StatedBacktest {
  readonly text: string;
  /** RFC 3339. */
  readonly from: string;
  readonly to: string;
  readonly tenantId: string | null;
}

/** Longest range of a backtest. */
export const backtestMsMax = 31 * 86_400_000;

/** Checks a proposed policy and a range. */
export function backtestRequest(
  editor: Pick<PolicyEditor, 'check' | 'inForce'>,
  { text, from, to, tenantId }: StatedBacktest,
): Outcome<BacktestRequest> {
  const [fromMs, toMs] = [readInstant(from), readInstant(to)];
  if (fromMs === null)
    return rejection(422, 'Not a time', 'Write the start as 2026-01-31T12:00:00Z.', 'from');
  if (toMs === null) return rejection(422, 'Not a time', 'Write the end as 2026-01-31T12:00:00Z.', 'to');
  if (toMs <= fromMs) return rejection(422, 'Empty range', 'The end must be after the start.', 'to');
  if (toMs - fromMs > backtestMsMax)
    return rejection(422, 'Range too long', 'A backtest covers at most 31 days.', 'from');
  const checked = editor.check(text);
  if (!checked.valid)
    return rejection(422, 'The policy has violations', checked.violations.join('\n'), 'text');
  const { policy: inForce } = editor.inForce();
  const policy = checked.policy.revision === inForce.revision ? inForce : checked.policy;
  return success({ policy, inForce, fromMs, toMs, tenantId });
}
