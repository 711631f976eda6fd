import type { Consumer as KafkaJsConsumer } from 'kafkajs';
import { TollgateError } from '../../../runtime/errors.ts';

/** Watches whether a kafkajs consumer is alive. */
export interface Heartbeat {
  /** Stores that the consumer is alive now. */
  note(): void;
  stop(): void;
}

const checkIntervalMs = 1_000;

/**
 * Ends the session when kafkajs reports that its consumer has failed, or when the consumer did nothing for
 * `silenceMsMax`: kafkajs may wait without a timeout for a response.
 */
export function watchHeartbeat(
  consumer: KafkaJsConsumer,
  silenceMsMax: number,
  end: (reason: Error) => void,
): Heartbeat {
  let lastAt = performance.now();
  const note = (): void => {
    lastAt = performance.now();
  };
  const timer = setInterval(() => {
    if (performance.now() - lastAt < silenceMsMax) return;
    clearInterval(timer);
    end(new TollgateError('KAFKA_STALLED', `The consumer did not fetch for ${silenceMsMax} ms`));
  }, checkIntervalMs);
  const { GROUP_JOIN, REBALANCING, FETCH, CRASH, STOP, DISCONNECT } = consumer.events;
  consumer.on(GROUP_JOIN, note);
  consumer.on(REBALANCING, note);
  consumer.on(FETCH, note);
  consumer.on(CRASH, ({ payload }) => end(payload.error));
  consumer.on(STOP, () => end(new Error('The consumer stopped')));
  consumer.on(DISCONNECT, () => end(new Error('The consumer disconnected')));
  return { note, stop: () => clearInterval(timer) };
}
