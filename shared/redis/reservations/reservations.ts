import type { LimitState } from '../../domain/limit.ts';
import type { Amounts } from '../../domain/usage/quantity.ts';
import { TollgateError } from '../../runtime/errors.ts';
import type { RedisClient } from '../client.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import type { LocalReservations } from '../fallback/local-reservations.ts';
import { isAmount, resultOf, stateOf as windowState } from '../decision/check.ts';
import type { Subjects } from '../decision/subjects.ts';
import { readScript, runScriptForBytes } from '../scripts.ts';
import { recordKey, stateOf } from './pending-reservation.ts';
import { decodeHead, decodeRecord, encodeAmounts } from './record-bytes.ts';
import { amountsByName, extensionsMax } from './reservation.ts';
import type {
  ExtendResult,
  FoundReservation,
  Reservation,
  ReservationRecord,
  Reservations,
  SettleResult,
} from './reservation.ts';
import type { RecordReply, RecordSettler } from './settle-records.ts';

export interface ReservationsOptions {
  readonly redis: RedisClient;
  readonly breakerOf: ServerBreakers['of'];
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  readonly subjects: Subjects;
  readonly settler: RecordSettler;
  /** Redis's time minus this node's time in milliseconds. */
  readonly offsetMs: () => number;
  readonly localReservations: Pick<LocalReservations, 'extend'>;
}

const extendScript = readScript(...['clock', 'sliding', 'quota', 'windows', 'reserve', 'record', 'extend']);

type ExtendStatus = 'charged' | 'repeated' | 'refused' | 'not_open' | 'too_many' | 'missing';

interface ExtendReply {
  readonly status: ExtendStatus;
  readonly states: readonly LimitState[];
  readonly charged: readonly number[];
}

export function createReservations(options: ReservationsOptions): Reservations {
  const { redis, breakerOf, subjects, settler, clock, redisTime, epochMs } = options;
  return {
    extend,
    settle: (reservation, amounts) => {
      const targets = reservation.quantities.map((name, index) =>
        index === 0 || amounts[name] === undefined ? null : clamp(amounts[name]),
      );
      return settle(reservation, 'settle', targets);
    },
    cancel: (reservation) =>
      settle(
        reservation,
        'cancel',
        reservation.quantities.map(() => 0),
      ),
    findReservation,
  };

  async function extend(
    reservation: Reservation,
    amounts: Amounts,
    sequence = reservation.extension + 1,
  ): Promise<ExtendResult> {
    if (!Object.values(amounts).every(isAmount) || !Number.isInteger(sequence) || sequence < 1) {
      return { passed: false, reason: 'invalid', states: [], degraded: false };
    }
    const list = reservation.quantities.map((name, index) => (index === 0 ? 0 : (amounts[name] ?? 0)));
    reservation.extension = Math.max(reservation.extension, sequence);
    let replies: ExtendReply[];
    try {
      replies = await Promise.all(
        reservation.records.map((record) => extendRecord(reservation, record, list, sequence)),
      );
    } catch {
      return extendWithoutRedis(reservation, list);
    }
    const failed = replies.find(({ status }) => status !== 'charged' && status !== 'repeated');
    if (failed === undefined) {
      reservation.charged = replies.at(-1)?.charged ?? reservation.charged;
    } else {
      const charged = reservation.records.filter((_, index) => replies[index]?.status === 'charged');
      await Promise.all(charged.map((record) => settler.undo(record, sequence)));
    }
    return extendResult(
      replies.flatMap(({ states }) => states),
      failed?.status ?? 'charged',
    );
  }

  async function extendRecord(
    reservation: Reservation,
    record: ReservationRecord,
    amounts: readonly number[],
    sequence: number,
  ): Promise<ExtendReply> {
    const first = await runExtend(record, amounts, sequence);
    if (first.status !== 'missing' || record.part === null) return first;
    await settler.restore(record, reservation.charged);
    return runExtend(record, amounts, sequence);
  }

  async function runExtend(
    record: ReservationRecord,
    amounts: readonly number[],
    sequence: number,
  ): Promise<ExtendReply> {
    const args = [redisTime?.now() ?? '', epochMs(), sequence, extensionsMax, encodeAmounts(amounts)];
    const reply = await breakerOf(record.tag).run(() =>
      runScriptForBytes(redis, extendScript, [record.key], args),
    );
    const [status, head, windows] = reply as [Buffer, Buffer?, Buffer?];
    return {
      status: status.toString() as ExtendStatus,
      states: windows === undefined ? [] : statesOf(record, windows),
      charged: head === undefined ? [] : decodeHead(head).charged,
    };
  }

  function extendWithoutRedis(reservation: Reservation, amounts: readonly number[]): ExtendResult {
    const states = options.localReservations.extend(reservation, amounts, clock.now());
    if (states === null) return { passed: false, reason: 'missing', states: [], degraded: true };
    const { passed, reason } = resultOf(states, true, true, 0);
    if (passed) addAmounts(reservation, amounts);
    return { passed, reason, states, degraded: true };
  }

  async function settle(
    reservation: Reservation,
    operation: 'settle' | 'cancel',
    targets: readonly (number | null)[],
  ): Promise<SettleResult> {
    reservation.settlement += 1;
    const { settlement: sequence, charged, records } = reservation;
    const replies = await Promise.all(
      records.map((record) => settler.settle({ record, operation, sequence, targets, charged })),
    );
    const head = replies.at(-1)?.head;
    if (head) {
      reservation.charged = head.charged;
      reservation.settlement = Math.max(sequence, head.settlement);
    } else if (replies.every(({ status }) => status === 'waiting')) {
      reservation.charged = targets.map((target, index) => target ?? charged[index] ?? 0);
    }
    return { outcome: outcomeOf(replies), amounts: amountsByName(reservation) };
  }

  async function findReservation(tenantId: string, id: string): Promise<FoundReservation | null> {
    const home = subjects.tenant(tenantId);
    const key = recordKey(home, tenantId, id);
    const [bytes, details, head] = await readFields(home.tag, key, 'r', 'd', 'h');
    if (!bytes || !details || !head) return null;
    const decoded = decodeRecord(bytes);
    const stored = decodeHead(head);
    const common = { details: details.toString(), endsAtMs: stored.endsAtMs, part: null };
    const others = await Promise.all(
      decoded.others.map(async (other) => {
        const [own] = await readFields(other.tag, other.key, 'r');
        return own ? { ...other, ...common, bytes: own } : null;
      }),
    );
    const handle: Reservation = {
      ...{ id, tenantId, quantities: decoded.quantities, charged: stored.charged },
      ...{ extension: stored.extension, settlement: stored.settlement, endsAtMs: stored.endsAtMs },
      records: [...others.filter((other) => other !== null), { key, tag: home.tag, bytes, ...common }],
    };
    const nowMs = redisTime?.now() ?? clock.now() + options.offsetMs();
    return { handle, state: stateOf(stored, nowMs), details: common.details, amounts: amountsByName(handle) };
  }

  async function readFields(tag: string, key: string, ...fields: string[]): Promise<(Buffer | null)[]> {
    const reply = await breakerOf(tag).run(() => redis.hmgetBuffer(key, ...fields));
    if (!Array.isArray(reply)) throw new TollgateError('REDIS_UNAVAILABLE', 'Redis replied in a wrong shape');
    return reply;
  }
}

/** Returns the states of the limits. The windows of reserved amounts have none. */
function statesOf({ part, bytes }: ReservationRecord, windows: Buffer): LimitState[] {
  const limits =
    part?.shape.windows.map(({ limit, counts }) => ({ limit, isReserved: counts !== 'charged' })) ??
    decodeRecord(bytes).windows;
  const nowMs = windows.readUIntLE(0, 6);
  return limits.flatMap(({ limit, isReserved }, index) => {
    if (isReserved) return [];
    const number = (place: number): number => windows.readUIntLE(6 + (index * 3 + place) * 6, 6);
    return windowState(limit, nowMs, { remaining: number(0), resetInMs: number(1), waitMs: number(2) - 1 });
  });
}

function extendResult(states: readonly LimitState[], status: ExtendStatus): ExtendResult {
  if (status === 'charged' || status === 'repeated') {
    return { passed: true, reason: null, states, degraded: false };
  }
  const reason = status === 'refused' ? (resultOf(states, true, false, 0).reason ?? 'limit') : status;
  return { passed: false, reason, states, degraded: false };
}

function addAmounts(reservation: Reservation, amounts: readonly number[]): void {
  reservation.charged = reservation.charged.map((charged, index) => charged + (amounts[index] ?? 0));
}

function outcomeOf(replies: readonly RecordReply[]): SettleResult['outcome'] {
  const outcomes = ['dropped', 'waiting', 'missing', 'superseded'] as const;
  return outcomes.find((outcome) => replies.some(({ status }) => status === outcome)) ?? 'applied';
}

/** An amount that a caller computed from untrusted usage is brought into the bounds that a record can store. */
function clamp(amount: number): number {
  return Number.isFinite(amount) ? Math.min(Math.max(0, Math.ceil(amount)), 2 ** 48 - 2) : 2 ** 48 - 2;
}
