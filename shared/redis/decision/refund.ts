import type { Clock } from '../../runtime/time/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import type { LocalLimiter } from '../fallback/local-limiter.ts';
import type { ServerBreakers } from '../fallback/server-breakers.ts';
import { idPart } from '../keys.ts';
import { readScript, runScript } from '../scripts.ts';
import { tagOf } from './batch.ts';
import type { PendingCheck } from './batch.ts';
import { amountOf } from './check.ts';
import type { CheckRequest } from './check.ts';
import type { DecidedCheck } from './dispatch.ts';
import type { PeriodCache } from './periods.ts';
import { returnUnitsOf } from './return-units.ts';
import type { Subjects } from './subjects.ts';
import { shapeOf } from './windows.ts';
import type { Shape } from './windows.ts';

/** Returns units that checks have charged. */
export interface Refunds {
  /**
   * Returns the cost and the amounts of a request to the windows that a check of it charges, oldest units first; `peek` is
   * ignored. `metered` is true when events with these units were written, so that ClickHouse's totals include them. Resolves with
   * the largest number of units of `requests` that were returned to one window, or with the whole cost if no window counts
   * requests. If Redis does not reply, no unit is returned, so the windows are too strict but no limit is exceeded. Never rejects.
   */
  readonly refund: (request: CheckRequest, metered: boolean) => Promise<number>;
  /**
   * Returns the units of a request whose response is not charged, to the windows that still count them. Units that have left a
   * window, are of an earlier period or were reset are not returned. With `decisionId`, the event of the decision was written
   * with these units and is corrected: the units are then returned only by the first call for this id on any node. Never rejects.
   */
  readonly giveBack: (request: CheckRequest, charge: GivenCharge) => Promise<void>;
  /** Returns the units that a check charged in one slot, because its part in another slot was refused. */
  readonly returnUnits: (check: PendingCheck, decided: DecidedCheck) => void;
  /**
   * Returns what Redis charged for a check, with the units that were leased beside it, because its reply arrived after the check was
   * decided locally. Does not wait for the circuit breaker, which may still be open: Redis has just replied. Never rejects.
   */
  readonly undoLate: (check: PendingCheck, decided: DecidedCheck) => Promise<void>;
}

export interface GivenCharge {
  /** Unix milliseconds at which the units were charged. */
  readonly atMs: number;
  readonly decisionId: string | null;
}

export interface RefundOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly breakerOf: ServerBreakers['of'];
  readonly subjects: Subjects;
  readonly periods: PeriodCache;
  readonly local: LocalLimiter;
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  readonly logger: Logger;
}

const refundScript = readScript('clock', 'sliding', 'quota', 'returned', 'refund');
/** Longer than a decision's event can be corrected by its outcome. */
const claimMs = 25 * 3_600_000;
const claimTimeoutMs = 1_000;
const undoTimeoutMs = 1_000;
/** Share of a window that is left out of its end, because the clocks of Redis and of this node may differ. */
const marginShare = 0.05;

/** Whether ClickHouse's totals include returned units. The values are those of refund.lua. */
const inTotals = { no: 0, yes: 1, untilCorrected: 2 } as const;
type InTotals = (typeof inTotals)[keyof typeof inTotals];

export function createRefunds(options: RefundOptions): Refunds {
  const { redis, keyPrefix, breakerOf, subjects, periods, local, clock, redisTime, epochMs, logger } =
    options;
  return {
    refund: (request, metered) => refund(request, metered ? inTotals.yes : inTotals.no, null),
    giveBack,
    returnUnits,
    undoLate,
  };

  async function giveBack(request: CheckRequest, { atMs, decisionId }: GivenCharge): Promise<void> {
    if (epochMs() > atMs || (decisionId !== null && !(await claim(decisionId)))) return;
    await refund(request, decisionId === null ? inTotals.no : inTotals.untilCorrected, atMs);
  }

  /** If Redis does not reply, the claim fails: the units stay charged, which is too strict but exceeds no limit. */
  async function claim(decisionId: string): Promise<boolean> {
    const key = `${keyPrefix}:{=returned.${idPart(decisionId)}}`;
    try {
      return (await replyWithin(redis.set(key, 1, 'PX', claimMs, 'NX'), claimTimeoutMs)) === 'OK';
    } catch (error) {
      logger.warn({ reason: messageOf(error), decision: decisionId }, 'units could not be returned');
      return false;
    }
  }

  /**
   * Sends one call for each subject, because subjects may be in different slots. A failure of one call does not affect the
   * others. `chargedAtMs` is null if the units may have been charged at any time.
   */
  async function refund(
    request: CheckRequest,
    totals: InTotals,
    chargedAtMs: number | null,
  ): Promise<number> {
    const { tenantId, userId, limits, calendar } = request;
    const shape = shapeOf(limits, tenantId !== null, userId !== null, calendar ?? 'UTC');
    const returned = await Promise.all(
      shape.subjects.map(async (kind, subjectIndex) => {
        const subject = subjects.of(kind, request);
        const places = [...shape.windows.keys()].filter(
          (place) =>
            shape.subjectOf[place] === subjectIndex &&
            shape.windows[place]?.counts !== 'carried' &&
            unitsOf(request, shape, place) > 0 &&
            (chargedAtMs === null || isCounted(shape, place, chargedAtMs)),
        );
        if (places.length === 0) return [];
        const windows = places.flatMap((place) => refundArguments(request, shape, place));
        const keys = subject.owner === null ? [subject.key] : [subject.key, subject.owner.key];
        const args = [redisTime?.now() ?? '', epochMs(), totals, ...windows];
        const units = await breakerOf(subject.tag)
          .run(() => runScript(redis, refundScript, keys, args) as Promise<number[]>)
          .catch((error: unknown) => {
            logger.warn({ reason: messageOf(error) }, 'units could not be returned');
            return [];
          });
        return places.map((place, index) => (shape.quantityOf[place] === 0 ? (units[index] ?? 0) : 0));
      }),
    );
    return shape.quantityOf.includes(0) ? Math.max(0, ...returned.flat()) : request.cost;
  }

  /** Whether a window still counts units that were charged at `atMs`. */
  function isCounted(shape: Shape, place: number, atMs: number): boolean {
    const window = shape.windows[place];
    if (window === undefined) return false;
    const nowMs = clock.now();
    if (window.period === null) return nowMs - atMs < window.spanMs * (1 - marginShare);
    return atMs >= periods.around(window.period, shape.calendars[place] ?? 'UTC', nowMs).start;
  }

  function refundArguments(request: CheckRequest, shape: Shape, place: number): (string | number)[] {
    const window = shape.windows[place];
    if (window === undefined) return [];
    const { field, period, spanMs } = window;
    const units = unitsOf(request, shape, place);
    if (period === null) return [units, field, 0, spanMs, 0, 0, 0, 0];
    const bounds = periods.around(period, shape.calendars[place] ?? 'UTC', clock.now());
    return [units, field, 1, spanMs, bounds.before, bounds.start, bounds.finish, bounds.after];
  }

  function returnUnits(check: PendingCheck, decided: DecidedCheck): void {
    if (decided.countedAtMs === 0) {
      if (decided.degraded) local.returnUnits(check, decided.states, clock.now());
      return;
    }
    breakerOf(tagOf(check))
      .run(() => returnCharged(check, decided))
      .catch((error: unknown) =>
        logger.debug({ reason: messageOf(error) }, 'units of a refused check could not be returned'),
      );
  }

  async function undoLate(check: PendingCheck, decided: DecidedCheck): Promise<void> {
    try {
      await replyWithin(returnCharged(check, decided), undoTimeoutMs);
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'units of a late reply could not be returned');
    }
  }

  /** Returns the units of a check that Redis admitted, and of the lease beside it. */
  function returnCharged(
    { request, shape, subjects: own, lease: requested }: PendingCheck,
    { states, countedAtMs, lease }: DecidedCheck,
  ): Promise<void> {
    const grant = lease !== null && lease !== undefined && lease.units > 0 ? lease : null;
    const returns = shape.windows.flatMap((window, index) => {
      const subject = own[shape.subjectOf[index] ?? 0];
      const isCharged = states[index]?.violated === false && window.counts !== 'carried';
      if (!isCharged || subject === undefined) return [];
      const units = unitsOf(request, shape, index) + (grant?.units ?? 0);
      return [{ key: subject.key, epochKey: subject.owner?.key ?? subject.key, window, units }];
    });
    return returnUnitsOf(options, returns, {
      // A check with a lease is stored with the timestamp of the lease's end.
      storedAtMs: countedAtMs + (grant === null ? 0 : (requested?.lifeMs ?? 0)),
      // The reply to a check without a lease does not contain the epoch.
      epoch: grant?.epoch ?? null,
    });
  }
}

function unitsOf(request: CheckRequest, shape: Shape, place: number): number {
  return amountOf(request, shape.quantities, shape.quantityOf[place] ?? 0);
}
