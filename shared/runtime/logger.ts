import { pino } from 'pino';
import type { Logger, LoggerOptions } from 'pino';

export type { Logger } from 'pino';

/** Largest size of the log lines in memory while standard output accepts none. Further lines are dropped. */
const waitingBytesMax = 1024 * 1024;

/**
 * Logs JSON lines to standard output, without tokens and keys. A failure of standard output, such as a full disk, does
 * not end the service.
 */
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
