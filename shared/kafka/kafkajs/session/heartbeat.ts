import type { Consumer as KafkaJsConsumer } from 'kafkajs';
import { TollgateError } from '../../../runtime/errors.ts';

/** Ends the session when kafkajs says that it can do nothing more. */
export function observe(consumer: KafkaJsConsumer, pulse: Pulse, end: (reason: Error) => void): void {
  const { GROUP_JOIN, REBALANCING, FETCH, CRASH, STOP, DISCONNECT } = consumer.events;
  consumer.on(GROUP_JOIN, () => pulse.beat());
  consumer.on(REBALANCING, () => pulse.beat());
  consumer.on(FETCH, () => pulse.beat());
  consumer.on(CRASH, ({ payload }) => end(payload.error));
  consumer.on(STOP, () => end(new Error('The consumer stopped')));
  consumer.on(DISCONNECT, () => end(new Error('The consumer disconnected')));
}

export interface Pulse {
  beat(): void;
  stop(): void;
}

const pulseIntervalMs = 1_000;

/** Ends the session when nothing moved for `silenceMsMax`: kafkajs can wait for an answer that no timeout watches. */
export function watchPulse(silenceMsMax: number, end: (reason: Error) => void): Pulse {
  let lastAt = performance.now();
  const timer = setInterval(() => {
    if (performance.now() - lastAt < silenceMsMax) return;
    clearInterval(timer);
    end(new TollgateError('KAFKA_STALLED', `The consumer did not fetch for ${silenceMsMax} ms`));
  }, pulseIntervalMs);
  return {
    beat: () => (lastAt = performance.now()),
    stop: () => clearInterval(timer),
  };
}
