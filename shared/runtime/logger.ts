import { pino } from 'pino';
import type { Logger, LoggerOptions } from 'pino';

export type { Logger } from 'pino';

/** Bound of the lines that wait for standard output; beyond it the newest lines are dropped. */
const waitingBytesMax = 1024 * 1024;

/** Writes JSON lines to standard output, without tokens and keys. A failure of standard output does not stop the service. */
export function createLogger(service: string, level: string): Logger {
  const output = pino.destination({ fd: 1, sync: true, maxLength: waitingBytesMax });
  output.on('error', () => undefined);
  const options: LoggerOptions = {
    level,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: [
      'req.headers.authorization',
      'req.headers["x-api-key"]',
      'req.headers["x-service-token"]',
      'req.headers.cookie',
    ],
  };
  return pino(options, output);
}
