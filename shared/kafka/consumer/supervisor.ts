import type { Counter } from 'prom-client';
import type { Logger } from '../../runtime/logger.ts';
import { createOutageLog } from '../../runtime/outage-log.ts';
import { backoffMs, pause } from '../backoff.ts';
import type { Kafka } from '../kafkajs/kafka.ts';
import type { SessionHandlers, TopicPartitionOffset } from '../kafkajs/session/fetched.ts';
import { startSession } from '../kafkajs/session/session.ts';
import type { ConsumerSession, SessionOptions } from '../kafkajs/session/session.ts';

export interface Supervisor {
  commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
  isHolding(): boolean;
  /** Ends the current session. The supervisor then starts another session. */
  restart(): void;
  close(): Promise<void>;
}

export interface SupervisorOptions extends SessionOptions {
  readonly logger: Logger;
  readonly restarts: Counter<'group'>;
  /** Name of the group in metrics. The number of names must be bounded. */
  readonly groupLabel: string;
  /**
   * Runs before each session joins the group. When it rejects, the supervisor retries in the same way as after a failed
   * session.
   */
  readonly beforeSession?: () => Promise<void>;
}

const restartDelayMsMax = 5_000;
/** A session that lasted this long resets the delay to its shortest value. */
const goodSessionMs = 30_000;

/**
 * Starts a new session whenever a session ends or cannot start, until the supervisor is closed. The delay between two
 * sessions is bounded.
 */
export function superviseConsumer(
  kafka: Kafka,
  options: SupervisorOptions,
  handlers: SessionHandlers,
): Supervisor {
  const { logger, restarts, groupLabel, groupId } = options;
  const closing = new AbortController();
  let session: ConsumerSession | null = null;
  const outage = createOutageLog(logger);
  const isClosing = (): boolean => closing.signal.aborted;
  const running = run();

  return { commit, isHolding: () => session?.isHolding() ?? false, restart, close };

  async function run(): Promise<void> {
    for (let failures = 0; !isClosing(); failures += 1) {
      const startedAt = performance.now();
      try {
        await options.beforeSession?.();
        session = await startSession(kafka, options, handlers);
        if (isClosing()) break;
        outage.worked();
        const reason = await session.ended;
        if (isClosing()) break;
        logger.warn(
          { group: groupId, err: reason },
          `the consumer ended and is started again: ${reason.message}`,
        );
      } catch (error) {
        outage.failed(error, 'the consumer could not start', { group: groupId });
      }
      handlers.onRevoked();
      restarts.inc({ group: groupLabel });
      await session?.stop();
      session = null;
      if (performance.now() - startedAt > goodSessionMs) failures = 0;
      await pause(backoffMs(failures, restartDelayMsMax), closing.signal);
    }
    await session?.stop();
  }

  async function commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    await session?.commit(offsets);
  }

  function restart(): void {
    void session?.stop();
  }

  async function close(): Promise<void> {
    closing.abort();
    await session?.stop();
    await running;
  }
}
