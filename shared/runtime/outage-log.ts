import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

/**
 * Logs the failures of an operation until it works again: one line when it begins to fail, one line when the error
 * changes, and none for other attempts.
 */
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
