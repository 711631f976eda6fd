import type { Clock } from '../../runtime/time/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { RedisClient } from '../client.ts';
import { replyWithin } from '../client.ts';
import { causeOf, meansUnavailable } from '../fallback/circuit-breaker.ts';
import type { Adoption, LocalReservations } from '../fallback/local-reservations.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import { createSettlementMetrics } from './metrics.ts';
import { lateSettlementMs } from './pending-reservation.ts';
import { encodeAmounts } from './record-bytes.ts';
import type { RecordHead } from './record-bytes.ts';
import { createRecordOperations } from './record-operations.ts';
import type { RecordOperation } from './record-operations.ts';
import type { ReservationRecord } from './reservation.ts';
import { createWaitingSettlements } from './waiting-settlements.ts';
import type { Settlement } from './waiting-settlements.ts';

/** Sends settlements to the records of reservations, and repeats those that Redis could not apply. */
export interface RecordSettler {
  settle(settlement: Settlement): Promise<RecordReply>;
  /** Creates a record that Redis does not have any more. Its units cannot be returned. */
  restore(record: ReservationRecord, charged: readonly number[]): Promise<void>;
  /** Returns the newest extension, which was refused in another slot. */
  undo(record: ReservationRecord, extension: number): Promise<void>;
  /** Returns all amounts and deletes the record, because the check was refused in another slot. */
  readonly discard: (record: ReservationRecord) => Promise<void>;
  /** Stores charges that were made without Redis. Rejects when Redis does not answer. */
  adopt(record: ReservationRecord, adoption: Adoption): Promise<void>;
  /** Sends the settlements that wait, of the hash tags for which `isServed` returns true. */
  repeat(isServed: (tag: string) => boolean): Promise<void>;
}

export interface RecordReply {
  readonly status: 'applied' | 'superseded' | 'missing' | 'waiting' | 'dropped';
  readonly head: RecordHead | null;
}

export interface RecordSettlerOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Records that Redis does not have yet. */
  readonly localReservations: Pick<LocalReservations, 'has' | 'settle'>;
  readonly timeoutMs: number;
  readonly waitingMax?: number;
}

const waitingReply: RecordReply = { status: 'waiting', head: null };
const stateNumbers = { open: 0, settled: 1, cancelled: 2 } as const;

/** Few repetitions are in flight at once, so that they do not delay checks. */
const repetitionsInFlight = 8;
/** At most this many settlements are repeated in one run. */
const repetitionsMax = 2_000;

export function createRecordSettler(options: RecordSettlerOptions): RecordSettler {
  const { redis, breakerOf, clock, redisTime, epochMs, localReservations: local, logger } = options;
  const operations = createRecordOperations({
    ...{ redis, breakerOf },
    timeArguments: () => [redisTime?.now() ?? '', epochMs()],
  });
  const waiting = createWaitingSettlements(options.waitingMax);
  const metrics = createSettlementMetrics(options.registry, waiting.size);
  return {
    settle: (settlement) => {
      const merged = waiting.merge(settlement);
      return local.has(merged.record.key) ? settleLocally(merged) : settle(merged);
    },
    restore: async (record, charged) => {
      const creating = importArguments(record, [nothingReturned(record, charged)]);
      await operations.runCreating({ record, operation: 'settle', sequence: 0, targets: [] }, creating);
    },
    adopt,
    undo: (record, extension) => runOrLog(record, 'undo', extension),
    discard: (record) => runOrLog(record, 'discard', 0),
    repeat,
  };

  /** Settles a record that Redis does not have yet. */
  function settleLocally(settlement: Settlement): Promise<RecordReply> {
    const isWaiting = local.settle(settlement, clock.now()) || waiting.add(settlement);
    return Promise.resolve(isWaiting ? waitingReply : drop(settlement, 'too many settlements wait'));
  }

  async function settle(settlement: Settlement): Promise<RecordReply> {
    const { record, charged } = settlement;
    try {
      const reply = await operations.run(settlement);
      if (reply.status !== 'missing' || record.part === null) return reply;
      const creating = importArguments(record, [nothingReturned(record, charged)]);
      return await operations.runCreating(settlement, creating);
    } catch (error) {
      const isWaiting = meansUnavailable(causeOf(error)) && waiting.add(settlement);
      return isWaiting ? waitingReply : drop(settlement, messageOf(error));
    }
  }

  function drop({ record }: Settlement, reason: string): RecordReply {
    metrics.dropped();
    logger.error({ key: record.key, reason }, 'a settlement was dropped');
    return { status: 'dropped', head: null };
  }

  /** Bypasses the circuit breaker, because adoptions are sent before the breaker closes. */
  async function adopt(record: ReservationRecord, adoption: Adoption): Promise<void> {
    const { token, mode, state, settlement, charges } = adoption;
    const creating = [token, mode, stateNumbers[state], ...importArguments(record, charges)];
    const operation = { record, operation: 'adopt', sequence: settlement, targets: [] } as const;
    await replyWithin(operations.runUnguarded(operation, creating), options.timeoutMs);
  }

  /** Arguments of `settle.lua` that create a record. */
  function importArguments(
    { bytes, details, endsAtMs }: ReservationRecord,
    charges: Adoption['charges'],
  ): (string | number | Buffer)[] {
    const ttlMs = Math.max(0, endsAtMs - clock.now()) + lateSettlementMs;
    const packed = charges.flatMap(({ amounts, windowsAtMs }) => [
      encodeAmounts(amounts),
      encodeAmounts(windowsAtMs),
    ]);
    return [bytes, details, Math.round(endsAtMs), Math.round(ttlMs), charges.length, ...packed];
  }

  async function runOrLog(
    record: ReservationRecord,
    operation: RecordOperation['operation'],
    sequence: number,
  ): Promise<void> {
    await operations
      .run({ record, operation, sequence, targets: [] })
      .catch((error: unknown) =>
        logger.debug({ reason: messageOf(error) }, 'units of a refused reservation could not be returned'),
      );
  }

  async function repeat(isServed: (tag: string) => boolean): Promise<void> {
    for (let count = 0; count < repetitionsMax; count += repetitionsInFlight) {
      const settlements = waiting.remove(
        repetitionsInFlight,
        ({ tag, key }) => isServed(tag) && !local.has(key),
      );
      if (settlements.length === 0) return;
      const replies = await Promise.all(settlements.map(settle));
      if (replies.some(({ status }) => status === 'waiting')) return;
    }
  }
}

/** A charge whose units no window counts, as far as Redis has a record of it. */
function nothingReturned(
  { part }: ReservationRecord,
  amounts: readonly number[],
): Adoption['charges'][number] {
  return { amounts, windowsAtMs: (part?.shape.windows ?? []).map(() => 0) };
}
