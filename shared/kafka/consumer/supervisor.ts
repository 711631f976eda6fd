import type { Counter } from 'prom-client';
import type { Logger } from '../../runtime/logger.ts';
import { createOutageLog } from '../../runtime/outage-log.ts';
import { startSession } from '../kafkajs/session/session.ts';
import type {
  ConsumerSession,
  SessionHandlers,
  SessionOptions,
  TopicPartitionOffset,
} from '../kafkajs/session/session.ts';
import { backoffMs, pause } from '../kafkajs/deadline.ts';
import type { Kafka } from '../kafkajs/kafka.ts';

export interface Supervisor {
  commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
  isHolding(): boolean;
  /** Ends the present session; another follows. */
  restart(): void;
  close(): Promise<void>;
}

export interface SupervisorOptions extends SessionOptions {
  readonly logger: Logger;
  readonly restarts: Counter<'group'>;
  /** Name of the group in metrics; bounded. */
  readonly groupLabel: string;
  /** Runs before each session joins; what it throws is tried again like a session that failed. */
  readonly beforeSession?: () => Promise<void>;
}

const restartDelayMsMax = 5_000;
/** A session that lived this long was a good one: the next failure starts with a short delay again. */
const goodSessionMs = 30_000;

/** Keeps a session alive for as long as it is not closed, Kafka there or not; the delay between two is bounded. */
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
          `the consumer ended and is built anew: ${reason.message}`,
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
