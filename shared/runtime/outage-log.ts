import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

/** Logs repeated failures of one kind once: a line when the failure begins or its message changes, none for each attempt. */
export interface OutageLog {
  failed(error: unknown, text: string, fields?: Readonly<Record<string, unknown>>): void;
  worked(): void;
}

export function createOutageLog(logger: Logger): OutageLog {
  let lastLine = '';
  return {
    failed: (error, text, fields = {}) => {
      const line = `${text}: ${messageOf(error)}`;
      if (line === lastLine) logger.debug(fields, line);
      else logger.warn({ ...fields, err: error }, line);
      lastLine = line;
    },
    worked: () => (lastLine = ''),
  };
}
