import type { StreamProgress } from './report-format.ts';

/** Progress of a response whose format has no events of its own: only its end completes the report. */
export const plainProgress: StreamProgress = {
  isComplete: false,
  endsWithResponse: true,
  isText: true,
  value: () => undefined,
  open: () => undefined,
  close: () => undefined,
  endEvent: () => undefined,
  endStream: () => undefined,
  finalEvents: () => '',
};
