import type { AlertEvent } from '../../shared/domain/alert.ts';

/** A message that could not be read, as it stands on the dead-letter topic. */
export interface DeadLetter {
  /** `partition-offset` on the dead-letter topic. */
  readonly id: string;
  readonly at: string;
  readonly reason: string;
  /** Where it came from: topic, partition, offset. */
  readonly from: string;
  /** The original value as text, cut where it is long. */
  readonly text: string;
  readonly bytes: number;
}

export interface DeadLetterDesk {
  list(limit: number): Promise<readonly DeadLetter[]>;
  show(id: string): Promise<DeadLetter | null>;
  /** Puts the original bytes back on the topic they came from. Safe to repeat: events are recognised by their id. */
  replay(id: string): Promise<boolean>;
}

export interface LossAuditor {
  /** Compares what was sent with what is stored; the report is printed as it is. */
  run(): Promise<{ readonly lost: number } & Readonly<Record<string, unknown>>>;
}

export interface TestMessages {
  /** Asks the alerter to send a test message; it arrives through the same path as an alert. */
  send(event: AlertEvent): Promise<void>;
}
