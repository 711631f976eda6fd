import { prometheusDuration } from '../../shared/domain/time/format-duration.ts';

/** Times of scraping, evaluating and notifying. They do not include thresholds. */
export interface AlertTiming {
  readonly scrapeSeconds: number;
  readonly evaluateSeconds: number;
  /**
   * Settings of Alertmanager: the time from the first alert of a group to its notification, and the time between two
   * notifications of a group.
   */
  readonly groupWaitSeconds: number;
  readonly groupIntervalSeconds: number;
  /** Factor by which the ranges in queries and the durations `for` are divided. */
  readonly speedup: number;
}

export const productionTiming: AlertTiming = {
  scrapeSeconds: 5,
  // Grafana exits if the interval of a rule group is not a multiple of 10 s.
  evaluateSeconds: 10,
  groupWaitSeconds: 10,
  groupIntervalSeconds: 60,
  speedup: 1,
};

/**
 * The same times, shortened for tests: 15 minutes become 15 ÷ `times` minutes. The scrape interval is at least one
 * second, so that the shortest range (2 minutes ÷ 30) still contains several samples.
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

/**
 * Shortens the ranges in a query: with `speedup` 30, `rate(x[5m])` becomes `rate(x[10s])`. Thresholds do not change.
 */
export function withTiming(query: string, timing: AlertTiming): string {
  return query.replaceAll(
    /\[(\d+)m\]/g,
    (_, minutes: string) => `[${prometheusDuration((Number(minutes) * 60) / timing.speedup)}]`,
  );
}
