import { randomBytes } from 'node:crypto';
import { TollgateError, messageOf } from '../../runtime/errors.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { replyWithin } from '../client.ts';
import type { RedisClient } from '../client.ts';
import { meansUnavailable } from './circuit-breaker.ts';
import type { Account, Batch, BatchPart, LocalLedger } from './local-ledger.ts';
import type { PeriodCache } from '../decision/periods.ts';
import { readScript, runScript } from '../scripts.ts';

/** Counts into Redis what this node admitted without it: each unit at its own time, and once. */
export interface Backfill {
  /**
   * Resolves when Redis has everything of the subjects whose tag is `served`, or after `budgetMs`. Rejects with
   * REDIS_UNAVAILABLE when Redis does not answer; what it acknowledged by then is done, the rest is sent again.
   */
  run(served: (tag: string) => boolean, budgetMs: number): Promise<void>;
}

export interface BackfillOptions {
  readonly redis: RedisClient;
  readonly ledger: LocalLedger;
  readonly periods: PeriodCache;
  readonly clock: Clock;
  readonly redisTime: Clock | undefined;
  readonly epochMs: () => number;
  /** What to add to this node's time for Redis's: rather a little too much than too little. */
  readonly offsetMs: () => number;
  readonly timeoutMs: number;
  readonly onDropped: () => void;
  readonly logger: Logger;
}

/** Few, so that the checks between them are not late. */
const batchesInFlight = 8;
const backfillScript = readScript('clock', 'sliding', 'quota', 'raised', 'backfill');

export function createBackfill(options: BackfillOptions): Backfill {
  const { redis, ledger, periods, clock, redisTime, offsetMs, timeoutMs, logger } = options;
  /** A start of the process begins a new sequence under a new name. */
  const processName = randomBytes(9).toString('base64url');
  const busy = new Set<Account>();
  let sequence = 0;
  return { run };

  async function run(served: (tag: string) => boolean, budgetMs: number): Promise<void> {
    const until = performance.now() + budgetMs;
    // Units that are admitted meanwhile are counted in the next pass.
    while (performance.now() < until) {
      const accounts = [...ledger.unsent].filter(
        (account) => !busy.has(account) && served(account.subject.tag),
      );
      if (accounts.length === 0) return;
      for (let from = 0; from < accounts.length && performance.now() < until; from += batchesInFlight) {
        await Promise.all(accounts.slice(from, from + batchesInFlight).map(count));
      }
    }
  }

  async function count(account: Account): Promise<void> {
    const batch = (account.batch ??= batchOf(account));
    if (batch === null) {
      ledger.settled(account);
      return;
    }
    busy.add(account);
    try {
      acknowledge(account, batch, await send(account, batch));
    } catch (error) {
      if (!(error instanceof TollgateError) || meansUnavailable(error)) throw error;
      options.onDropped();
      logger.error({ key: account.subject.key, reason: messageOf(error) }, 'local units were not counted');
    } finally {
      busy.delete(account);
    }
    account.batch = null;
    ledger.settled(account);
    ledger.changed(account, clock.now());
  }

  function batchOf({ rows }: Account): Batch | null {
    const parts: BatchPart[] = [];
    for (const row of rows.values()) {
      if (!row.local.hasUnsent()) continue;
      parts.push({ row, window: row.window, timeZone: row.timeZone, entries: row.local.send() });
    }
    return parts.length === 0 ? null : { sequence: (sequence += 1), parts };
  }

  async function send({ subject }: Account, batch: Batch): Promise<readonly number[]> {
    const keys = [subject.key, `${subject.key}:=backfill:${processName}`];
    if (subject.owner !== null) keys.push(subject.owner.key);
    const parts = batch.parts.flatMap((part) => argumentsOf(part, Math.round(offsetMs())));
    const args = [redisTime?.now() ?? '', options.epochMs(), batch.sequence, ...parts];
    return (await replyWithin(runScript(redis, backfillScript, keys, args), timeoutMs)) as number[];
  }

  function argumentsOf({ window, timeZone, entries }: BatchPart, offset: number): (string | number)[] {
    const { field, period, spanMs, grainMs } = window;
    const stamps = entries.flatMap(({ firstMs, lastMs, units }) => [
      firstMs + offset,
      lastMs + offset,
      units,
    ]);
    const newestMs = (entries.at(-1)?.lastMs ?? 0) + offset;
    const bounds = period === null ? null : periods.around(period, timeZone, newestMs);
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
      ...stamps,
    ];
  }

  /** The answer says what Redis counts now: what the next outage begins with. */
  function acknowledge({ subject }: Account, { parts }: Batch, reply: readonly number[]): void {
    parts.forEach(({ row, window }, index) => {
      const [used = 0, resetAtMs = 0] = reply.slice(1 + 2 * index, 3 + 2 * index);
      row.local.sent();
      row.local.hear({ used, goneAtMs: resetAtMs - offsetMs() });
      [row.heardUsed, row.heardResetAtMs] = [used, resetAtMs];
      subject.seen.set(window.field, { used, resetAtMs });
    });
  }
}
