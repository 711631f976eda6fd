import { messageOf } from './errors.ts';
import type { Logger } from './logger.ts';

/** What fails again and again until it works: one line when it begins, or fails in another way, and none for each attempt. */
export interface OutageLog {
  failed(error: unknown, text: string, fields?: Readonly<Record<string, unknown>>): void;
  worked(): void;
}

export function createOutageLog(logger: Logger): OutageLog {
  let said = '';
  return {
    failed: (error, text, fields = {}) => {
      const line = `${text}: ${messageOf(error)}`;
      if (line === said) logger.debug(fields, line);
      else logger.warn({ ...fields, err: error }, line);
      said = line;
    },
    worked: () => (said = ''),
  };
}
