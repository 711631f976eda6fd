import { randomBytes } from 'node:crypto';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { meansUnavailable } from './circuit-breaker.ts';
import type { Account, Batch, BatchPart, LocalLedger } from './local-ledger.ts';
import type { PeriodCache } from '../decision/periods.ts';
import { usageOf } from '../decision/subjects.ts';
import { readScript, runScript } from '../scripts.ts';

/**
 * Adds to Redis the units that this node admitted while Redis was unavailable: each unit once, with the time of its
 * admission.
 */
export interface Backfill {
  /**
   * Adds the units of each subject for whose hash tag `isServed` returns true. Resolves when Redis has all of these
   * units, or after `budgetMs`. Rejects with REDIS_UNAVAILABLE when Redis does not answer; a batch without a reply is
   * sent again later.
   */
  run(isServed: (tag: string) => boolean, budgetMs: number): Promise<void>;
}

export interface BackfillOptions {
  readonly redis: RedisClient;
  readonly ledger: LocalLedger;
  readonly periods: PeriodCache;
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  /** Redis's time minus this node's time in milliseconds: never too small, and too large by one round trip at most. */
  readonly offsetMs: () => number;
  readonly timeoutMs: number;
  readonly onDropped: () => void;
  readonly logger: Logger;
}

/** Few batches are in flight at once, so that they do not delay checks. */
const batchesInFlight = 8;
const backfillScript = readScript('clock', 'sliding', 'quota', 'raised', 'backfill');

export function createBackfill(options: BackfillOptions): Backfill {
  const { redis, ledger, periods, clock, redisTime, offsetMs, timeoutMs, logger } = options;
  /** Random name of this process: each process numbers its batches from 1, and Redis stores the last number by process name. */
  const processName = randomBytes(9).toString('base64url');
  const sending = new Set<Account>();
  let sequence = 0;
  return { run };

  async function run(isServed: (tag: string) => boolean, budgetMs: number): Promise<void> {
    const until = performance.now() + budgetMs;
    // Units that are admitted while the loop runs are counted in its next iteration.
    while (performance.now() < until) {
      const accounts = [...ledger.unsent].filter(
        (account) => !sending.has(account) && isServed(account.subject.tag),
      );
      if (accounts.length === 0) return;
      for (let from = 0; from < accounts.length && performance.now() < until; from += batchesInFlight) {
        await Promise.all(accounts.slice(from, from + batchesInFlight).map(sendUnits));
      }
    }
  }

  async function sendUnits(account: Account): Promise<void> {
    const batch = (account.batch ??= batchOf(account));
    if (batch === null) {
      ledger.clearUnsent(account);
      return;
    }
    sending.add(account);
    try {
      acknowledge(account, batch, await send(account, batch));
    } catch (error) {
      if (!(error instanceof TollgateError) || meansUnavailable(error)) throw error;
      options.onDropped();
      logger.error(
        { key: account.subject.key, reason: messageOf(error) },
        'units admitted without redis could not be counted into it',
      );
    } finally {
      sending.delete(account);
    }
    account.batch = null;
    ledger.clearUnsent(account);
    ledger.update(account, clock.now());
  }

  function batchOf({ rows }: Account): Batch | null {
    const parts: BatchPart[] = [];
    for (const row of rows.values()) {
      if (!row.local.hasUnsent()) continue;
      parts.push({ row, window: row.window, calendar: row.calendar, entries: row.local.beginSending() });
    }
    return parts.length === 0 ? null : { sequence: (sequence += 1), parts };
  }

  async function send(account: Account, batch: Batch): Promise<readonly number[]> {
    const { subject } = account;
    account.offsetMs = Math.round(offsetMs());
    const keys = [subject.key, `${subject.key}:=backfill:${processName}`];
    if (subject.owner !== null) keys.push(subject.owner.key);
    const parts = batch.parts.flatMap((part) => argumentsOf(part, account.offsetMs));
    const args = [redisTime?.now() ?? '', options.epochMs(), batch.sequence, ...parts];
    return (await replyWithin(runScript(redis, backfillScript, keys, args), timeoutMs)) as number[];
  }

  function argumentsOf({ window, calendar, entries }: BatchPart, offset: number): (string | number)[] {
    const { field, period, spanMs, grainMs } = window;
    const entryArguments = entries.flatMap(({ firstMs, lastMs, units }) => [
      firstMs + offset,
      lastMs + offset,
      units,
    ]);
    const newestMs = (entries.at(-1)?.lastMs ?? 0) + offset;
    const bounds = period === null ? null : periods.around(period, calendar, newestMs);
    const { before = 0, start = 0, finish = 0 } = bounds ?? {};
    return [
      field,
      period === null ? 0 : 1,
      spanMs,
      grainMs,
      before,
      start,
      finish,
      entries.length,
      ...entryArguments,
    ];
  }

  /**
   * Marks the batch's units as counted, and stores the usage in Redis's reply: local decisions of the next outage start from it.
   */
  function acknowledge({ subject }: Account, { parts }: Batch, reply: readonly number[]): void {
    parts.forEach(({ row, window }, index) => {
      const [used = 0, resetAtMs = 0] = reply.slice(1 + 2 * index, 3 + 2 * index);
      row.local.confirmSent();
      row.local.observeRedis({ used, goneAtMs: resetAtMs - offsetMs() });
      [row.observedUsed, row.observedResetAtMs] = [used, resetAtMs];
      Object.assign(usageOf(subject, window.field), { used, resetAtMs });
    });
  }
}
