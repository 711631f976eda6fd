import { logLevel } from 'kafkajs';
import type { LogEntry } from 'kafkajs';
import type { Logger } from '../../runtime/logger.ts';

/** The same line of kafkajs is written again after a pause of this long: while a broker is away it comes ten times a second. */
const repeatAfterMs = 60_000;
const rememberedLinesMax = 200;

/** Advice that does not hold here (the producer verifies and resends by itself, so its retries may be bounded), and our own doing. */
const unwanted = /Limiting retries for the idempotent producer|The connection was given up/;

/**
 * Sends kafkajs's lines to pino, one level lower than it rates them: its errors are attempts that failed and are
 * tried again; what really failed reaches the caller as an error.
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
