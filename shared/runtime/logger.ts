import { pino } from 'pino';
import type { Logger, LoggerOptions } from 'pino';

export type { Logger } from 'pino';

/** Lines that standard output does not take are kept up to this size; beyond it the newest are dropped. */
const waitingBytesMax = 1024 * 1024;

/** JSON lines on standard output. Tokens and keys never reach a line. A full disk below it ends no service. */
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
