import type { Admin } from 'kafkajs';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import { createAdminLine } from '../kafkajs/admin-queue.ts';
import type { Lag } from './consumer.ts';
import type { Kafka } from '../kafkajs/kafka.ts';

export interface WatchdogOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly stalledAfterMs: number;
  readonly assignment: () => ReadonlyMap<string, readonly number[]> | null;
  readonly oldestWaitingMs: () => number | null;
  /** True while all that waits is records of open transactions: only their producers can move them. */
  readonly isHolding: () => boolean;
  readonly onLag: (lag: Lag) => void;
  readonly onStalled: (error: TollgateError) => void;
}

export interface Watchdog {
  lag(): Lag | null;
  /** Something was committed, or a handler came to an end: the consumer lives. */
  attemptEnded(): void;
  close(): Promise<void>;
}

const pollIntervalMsMax = 5_000;

/**
 * Asks Kafka itself, over a connection of its own, how far the group is: a consumer that died quietly still counts
 * itself as running. Kafka being away is no stall; neither is a handler that fails and is tried again.
 */
export function watchProgress(kafka: Kafka, options: WatchdogOptions): Watchdog {
  const { groupId, topics, stalledAfterMs } = options;
  const line = createAdminLine(kafka);
  let lag: Lag | null = null;
  let movedAt = performance.now();
  let committedBefore = -1;
  let lagSinceMs: number | null = null;
  let polling: Promise<void> = Promise.resolve();
  let busy = false;
  const timer = setInterval(
    () => {
      if (busy) return;
      busy = true;
      polling = poll().finally(() => (busy = false));
    },
    Math.min(pollIntervalMsMax, stalledAfterMs / 4),
  );

  return {
    lag: () => lag,
    attemptEnded: () => (movedAt = performance.now()),
    async close() {
      clearInterval(timer);
      line.close();
      await polling;
    },
  };

  async function poll(): Promise<void> {
    try {
      const { behind, committed } = await line.ask('reading the lag', kafka.requestTimeoutMs * 2, readLag);
      lag = { messages: behind, seconds: secondsBehind(behind) };
      options.onLag(lag);
      if (behind === 0 || committed !== committedBefore || options.isHolding()) movedAt = performance.now();
      committedBefore = committed;
    } catch (error) {
      kafka.logger.debug({ err: error, group: groupId }, `the lag is unknown: ${messageOf(error)}`);
      movedAt = performance.now();
      return;
    }
    if (performance.now() - movedAt < stalledAfterMs) return;
    clearInterval(timer);
    const waiting = `${lag.messages} records wait for group ${groupId}`;
    options.onStalled(
      new TollgateError('KAFKA_STALLED', `${waiting}, and nothing moved for ${stalledAfterMs} ms`),
    );
  }

  async function readLag(admin: Admin): Promise<{ behind: number; committed: number }> {
    const assigned = options.assignment();
    let behind = 0;
    let committed = 0;
    const places = await admin.fetchOffsets({ groupId, topics: [...topics] });
    for (const { topic, partitions } of places) {
      const offsets = new Map(partitions.map(({ partition, offset }) => [partition, Number(offset)]));
      for (const { partition, high, low } of await admin.fetchTopicOffsets(topic)) {
        if (assigned !== null && assigned.get(topic)?.includes(partition) !== true) continue;
        const place = Math.max(offsets.get(partition) ?? 0, Number(low), 0);
        behind += Math.max(0, Number(high) - place);
        committed += place;
      }
    }
    return { behind, committed };
  }

  /** What waits in the buffer has a timestamp; of what was not even fetched only the time since it was noticed is known. */
  function secondsBehind(behind: number): number {
    const nowMs = Date.now();
    lagSinceMs = behind === 0 ? null : (lagSinceMs ?? nowMs);
    const oldestMs = options.oldestWaitingMs() ?? lagSinceMs;
    return behind === 0 || oldestMs === null ? 0 : Math.max(0, nowMs - oldestMs) / 1000;
  }
}
