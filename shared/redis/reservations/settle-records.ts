import type { Clock } from '../../runtime/time/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { RedisClient } from '../client.ts';
import { meansUnavailable } from '../fallback/circuit-breaker.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import type { Registry } from '../../runtime/http/ops.ts';
import { createSettlementMetrics } from './metrics.ts';
import { readScript, runScriptForBytes } from '../scripts.ts';
import { lateSettlementMs } from './pending-reservation.ts';
import { decodeHead, encodeAmounts } from './record-bytes.ts';
import type { RecordHead } from './record-bytes.ts';
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
  readonly waitingMax?: number;
}

type Operation = 'settle' | 'cancel' | 'undo' | 'discard';

/** Few repetitions are in flight at once, so that they do not delay checks. */
const repetitionsInFlight = 8;
/** At most this many settlements are repeated in one run. */
const repetitionsMax = 2_000;

const settleScript = readScript(
  ...['clock', 'sliding', 'quota', 'windows', 'reserve', 'record', 'returned', 'settle'],
);

export function createRecordSettler(options: RecordSettlerOptions): RecordSettler {
  const { redis, breakerOf, clock, redisTime, epochMs, logger } = options;
  const waiting = createWaitingSettlements(options.waitingMax);
  const metrics = createSettlementMetrics(options.registry, waiting.size);
  return {
    settle: (settlement) => settle(waiting.merge(settlement)),
    restore: async (record, charged) => {
      await run(record, 'settle', 0, [], importArguments(record, charged));
    },
    undo: (record, extension) => runOrLog(record, 'undo', extension),
    discard: (record) => runOrLog(record, 'discard', 0),
    repeat,
  };

  async function settle(settlement: Settlement): Promise<RecordReply> {
    const { record, operation, sequence, targets, charged } = settlement;
    try {
      const reply = await run(record, operation, sequence, targets, []);
      if (reply.status !== 'missing' || record.part === null) return reply;
      return await run(record, operation, sequence, targets, importArguments(record, charged));
    } catch (error) {
      if (meansUnavailable(causeOf(error)) && waiting.add(settlement))
        return { status: 'waiting', head: null };
      metrics.dropped();
      logger.error({ key: record.key, reason: messageOf(error) }, 'a settlement was dropped');
      return { status: 'dropped', head: null };
    }
  }

  async function run(
    record: ReservationRecord,
    operation: Operation,
    sequence: number,
    targets: readonly (number | null)[],
    importing: readonly (string | number | Buffer)[],
  ): Promise<RecordReply> {
    const packed = encodeAmounts(targets.map((target) => (target === null ? 0 : target + 1)));
    const args = [redisTime?.now() ?? '', epochMs(), operation, sequence, packed, ...importing];
    const reply = await breakerOf(record.tag).run(() =>
      runScriptForBytes(redis, settleScript, [record.key], args),
    );
    const [status, head] = reply as [Buffer, Buffer?];
    return {
      status: status.toString() as RecordReply['status'],
      head: head === undefined ? null : decodeHead(head),
    };
  }

  /** Arguments of `settle.lua` that create a record with one charge whose units cannot be returned. */
  function importArguments(
    { bytes, part, details, endsAtMs }: ReservationRecord,
    charged: readonly number[],
  ): (string | number | Buffer)[] {
    const none = '0'.repeat(part?.shape.windows.length ?? 0);
    const ttlMs = Math.max(0, endsAtMs - clock.now()) + lateSettlementMs;
    return [bytes, details, Math.round(endsAtMs), Math.round(ttlMs), 1, encodeAmounts(charged), 0, none];
  }

  async function runOrLog(record: ReservationRecord, operation: Operation, sequence: number): Promise<void> {
    await run(record, operation, sequence, [], []).catch((error: unknown) =>
      logger.debug({ reason: messageOf(error) }, 'units of a refused reservation could not be returned'),
    );
  }

  async function repeat(isServed: (tag: string) => boolean): Promise<void> {
    for (let count = 0; count < repetitionsMax; count += repetitionsInFlight) {
      const settlements = waiting.remove(repetitionsInFlight, isServed);
      if (settlements.length === 0) return;
      const replies = await Promise.all(settlements.map(settle));
      if (replies.some(({ status }) => status === 'waiting')) return;
    }
  }
}

/** The circuit breaker wraps the error of a call. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}
