import type { AlertFixture } from './fixture.ts';

/** A fault to inject. `cause` injects it and resolves with a function that ends it. */
export interface Cause {
  readonly title: string;
  /** Alerts that must fire and be sent. */
  readonly alerts: readonly string[];
  /** Alerts that must fire and not be sent, because they are consequences of the same fault. */
  readonly consequences?: readonly string[];
  readonly cause: (fixture: AlertFixture) => Promise<() => Promise<void>>;
  /** Real seconds until the thresholds of the alerts can be reached. The test does not shorten thresholds. */
  readonly thresholdSeconds?: number;
}
