import type { Connection } from './call.ts';
import type { TollgateError } from './errors.ts';

/** Why events were lost: there was no room for them, the process ended, or a file of events is damaged. */
export type LossReason = 'full' | 'exit' | 'damaged';

export interface PublisherOptions extends Connection {
  /** `source` of the events: the name of the application. */
  readonly source: string;
  /**
   * Directory for events that do not fit into memory, and for those that are not sent when the process ends; the next
   * process sends them. Each running process needs a directory of its own. Absent: these events are lost, and
   * `onLost` is called.
   */
  readonly directory?: string;
  /** True to write every event to the directory before it is sent, so that few events are lost by a SIGKILL. */
  readonly durable?: boolean;
  /** Largest size of the events in memory; 16 MiB by default. */
  readonly memoryBytesMax?: number;
  /** Largest size of the files in the directory; 1 GiB by default. */
  readonly diskBytesMax?: number;
  /** Events in one request; 1,000 by default, which is the maximum of the API. */
  readonly batchEventsMax?: number;
  /** Time that an event waits for others that are sent with it; 100 ms by default. */
  readonly lingerMs?: number;
  /** Longest wait for the answer to a request; 10 s by default. */
  readonly timeoutMs?: number;
  /** Called for each event that Tollgate rejected for good. Absent: a line on standard error. */
  readonly onRejected?: (eventText: string, reason: string) => void;
  /** Called with the number of events that were lost. Absent: a line on standard error. */
  readonly onLost?: (count: number, reason: LossReason) => void;
  /** Called when a request failed, and its events will be sent again. */
  readonly onError?: (error: TollgateError) => void;
}

export interface PublisherStats {
  /** Events in memory that are not stored yet. */
  readonly queued: number;
  /** Bytes of the events on disk. */
  readonly diskBytes: number;
  /** Events that Tollgate has stored. */
  readonly stored: number;
  readonly rejected: number;
  readonly lost: number;
}
