import { logLevel } from 'kafkajs';
import type { LogEntry } from 'kafkajs';
import type { Logger } from '../../runtime/logger.ts';

/** Time after which a repeated line is logged again. During an outage kafkajs logs the same line ten times a second. */
const repeatAfterMs = 60_000;
const rememberedLinesMax = 200;

/**
 * Lines that are not logged: advice that does not apply, because the producer itself verifies and retries; and messages
 * that `destroy` causes.
 */
const unwanted = /Limiting retries for the idempotent producer|The connection was destroyed/;

/**
 * Forwards the log of kafkajs to pino, one level lower: errors in it are attempts that are retried. A real failure
 * reaches the caller as an error.
 */
export function bridgeLogs(logger: Logger): () => (entry: LogEntry) => void {
  const lastSeenMs = new Map<string, number>();
  return () =>
    ({ namespace, level, log }) => {
      if (level >= logLevel.DEBUG || unwanted.test(log.message)) return;
      const line = `${namespace}: ${log.message}`;
      const nowMs = performance.now();
      const silentMs = nowMs - (lastSeenMs.get(line) ?? -repeatAfterMs);
      if (lastSeenMs.size >= rememberedLinesMax) lastSeenMs.clear();
      lastSeenMs.set(line, nowMs);
      if (silentMs < repeatAfterMs) return;
      const { broker, groupId, topic, partition, error } = log as Record<string, unknown>;
      const fields = { kafka: { broker, groupId, topic, partition, error } };
      if (level === logLevel.INFO) logger.debug(fields, line);
      else if (level === logLevel.WARN) logger.info(fields, line);
      else logger.warn(fields, line);
    };
}
