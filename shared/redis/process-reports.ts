import { readProcessReport } from '../domain/operators/process-report.ts';
import type { ProcessReport } from '../domain/operators/process-report.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { replyWithin } from './client.ts';
import type { RedisClient } from './client.ts';
import { idPart, tags } from './keys.ts';

/**
 * Reports of processes about themselves. Operators read them to find what needs attention; no decision depends on them.
 * Every method rejects with REDIS_UNAVAILABLE when Redis does not answer in time.
 */
export interface ProcessReports {
  /** Stores a report, which replaces the earlier report of this kind and name. */
  write(report: ProcessReport): Promise<void>;
  /** Deletes the report of a process that ends as intended. */
  remove(report: Pick<ProcessReport, 'kind' | 'name'>): Promise<void>;
  /** The reports that are kept, also those of processes that no longer run. */
  list(): Promise<ProcessReport[]>;
}

export interface ProcessReportsOptions {
  readonly redis: RedisClient;
  readonly keyPrefix: string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

/** A gateway that ended without removing its report is listed for an hour. */
const keptMs = { gateway: 3_600_000, 'loss-audit': 7 * 86_400_000, 'last-loss': 7 * 86_400_000 } as const;
const keptMsMax = Math.max(...Object.values(keptMs));
/** At most this many are listed: the ids that expire first are removed; their reports expire by themselves. */
const reportsMax = 1_000;

/**
 * One key for each report, and a sorted set with the ids of all reports, scored by the end of their time. All keys are in one
 * slot. A writer that ends between two commands leaves a report without an id, or an id without a report: both expire, and
 * neither is listed.
 */
export function createProcessReports(options: ProcessReportsOptions): ProcessReports {
  const { redis, keyPrefix, clock, timeoutMs = 1_000 } = options;
  const indexKey = `${keyPrefix}:${tags.reports}`;
  const keyOf = (id: string): string => `${indexKey}:${id}`;
  return {
    async write(report) {
      const [id, ms, nowMs] = [idOf(report), keptMs[report.kind], clock.now()];
      await replyWithin(
        Promise.all([
          redis.set(keyOf(id), JSON.stringify(report), 'PX', ms),
          redis.zadd(indexKey, nowMs + ms, id),
          redis.zremrangebyscore(indexKey, '-inf', String(nowMs)),
          redis.zremrangebyrank(indexKey, 0, -reportsMax - 1),
          redis.pexpire(indexKey, keptMsMax),
        ]),
        timeoutMs,
      );
    },
    async remove(report) {
      const id = idOf(report);
      await replyWithin(Promise.all([redis.zrem(indexKey, id), redis.del(keyOf(id))]), timeoutMs);
    },
    async list() {
      const ids = await replyWithin(redis.zrange(indexKey, 0, '-1'), timeoutMs);
      if (ids.length === 0) return [];
      const texts = await replyWithin(redis.mget(ids.map(keyOf)), timeoutMs);
      return texts.flatMap((text) => {
        const report = text === null ? null : readProcessReport(text);
        return report === null ? [] : [report];
      });
    },
  };
}

function idOf({ kind, name }: Pick<ProcessReport, 'kind' | 'name'>): string {
  return `${kind}:${idPart(name)}`;
}
