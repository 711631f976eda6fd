import { prometheusDuration } from '../../shared/domain/time/format-duration.ts';

/** Intervals of scraping, evaluation and notification of alerts. Thresholds are not part of it. */
export interface AlertTiming {
  readonly scrapeSeconds: number;
  readonly evaluateSeconds: number;
  /** Alertmanager: from the first alert of a group to its notification, and between two notifications of a group. */
  readonly groupWaitSeconds: number;
  readonly groupIntervalSeconds: number;
  /** Ranges in queries and `for` are divided by this factor. */
  readonly speedup: number;
}

export const productionTiming: AlertTiming = {
  scrapeSeconds: 5,
  // Grafana exits on an interval of a rule group that is no multiple of 10 s.
  evaluateSeconds: 10,
  groupWaitSeconds: 10,
  groupIntervalSeconds: 60,
  speedup: 1,
};

/**
 * The same rules in shorter time, for tests: 15 minutes become 15 ÷ `times` minutes. The scrape interval stays at a
 * second or above, so that the shortest range (2 minutes ÷ 30) still contains several samples.
 */
export function shortenedTiming(times: number): AlertTiming {
  return {
    scrapeSeconds: Math.max(1, productionTiming.scrapeSeconds / times),
    evaluateSeconds: productionTiming.evaluateSeconds / times,
    groupWaitSeconds: productionTiming.groupWaitSeconds / times,
    groupIntervalSeconds: productionTiming.groupIntervalSeconds / times,
    speedup: times,
  };
}

/** Shortens the ranges of a query: with `speedup` 30, `rate(x[5m])` becomes `rate(x[10s])`. Thresholds stay. */
export function withTiming(query: string, timing: AlertTiming): string {
  return query.replaceAll(
    /\[(\d+)m\]/g,
    (_, minutes: string) => `[${prometheusDuration((Number(minutes) * 60) / timing.speedup)}]`,
  );
}
