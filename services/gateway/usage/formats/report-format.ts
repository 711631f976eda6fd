import type { Evidence, Judgement } from '../figures/evidence.ts';
import type { PointerNode } from '../json/pointers.ts';

/** How one API reports usage and delivers output. */
export interface ReportFormat {
  /** What is selected from a response that is one JSON text. */
  readonly body: PointerNode;
  /** What is selected from the data of each event of an event stream. */
  readonly event: PointerNode;
  /** Names of selections that are numbers of the report. All other selected values describe the stream. */
  readonly figures: ReadonlySet<string>;
  /** Decides which figures count. */
  judge(reported: ReadonlyMap<string, number>, evidence: Evidence): Judgement;
  createProgress(): StreamProgress;
}

/** How far a response has come. It holds what is needed to end an event stream before the upstream does. */
export interface StreamProgress {
  /** The upstream has sent its last figures. */
  readonly isComplete: boolean;
  /** The format has no event that ends a stream, so the end of the response completes the report. */
  readonly endsWithResponse: boolean;
  /** False if the selected text of the current event is not text, for example base64 of audio. */
  readonly isText: boolean;
  value(name: string, text: string | null): void;
  open(name: string): void;
  close(name: string): void;
  endEvent(): void;
  /** The event `data: [DONE]`. */
  endStream(): void;
  /** The events that end the stream properly after its output was cut off. */
  finalEvents(usage: FinalUsage): string;
}

/** The figures that the client receives in the final events. */
export interface FinalUsage {
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** The client requested a report of usage in the stream. */
  readonly isRequested: boolean;
}

export function dataEvent(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

export function namedEvent(data: { readonly type: string; readonly [member: string]: unknown }): string {
  return `event: ${data.type}\n${dataEvent(data)}`;
}

/** An index or a count in the text of a JSON number; null if it is not one. */
export function countOf(text: string | null): number | null {
  const count = text === null ? NaN : Number(text);
  return Number.isSafeInteger(count) && count >= 0 ? count : null;
}
