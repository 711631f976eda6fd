import type { Measures, UsageSource } from '../../../../shared/domain/usage/measures.ts';
import type { UsageViolation } from '../call-usage.ts';

/** What was found out about a call besides the figures that the upstream reported. */
export interface Evidence {
  /** The last figures of the response have arrived. */
  readonly isComplete: boolean;
  readonly delivered: DeliveredOutput;
  /** The measures that were reserved before the call. */
  readonly estimate: Measures;
  readonly violations: Set<UsageViolation>;
}

export interface DeliveredOutput {
  readonly bytes: number;
  readonly tokens: number;
  /** False if the output cannot be read, because of its coding or form. */
  readonly isCounted: boolean;
}

export interface Judgement {
  readonly measures: Measures;
  readonly source: UsageSource;
}
