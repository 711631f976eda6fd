import { prometheusDuration } from '../shared/domain/time/format-duration.ts';

/** How long everything around an alert takes. What makes it fire (its threshold) is no part of this. */
export interface Pace {
  readonly scrapeSeconds: number;
  readonly evaluateSeconds: number;
  /** Alertmanager: from the first alert of a group to its notification, and between two of them. */
  readonly groupWaitSeconds: number;
  readonly groupIntervalSeconds: number;
  /** Ranges in queries and `for` are shortened by this factor. */
  readonly quicker: number;
}

export const everyday: Pace = {
  scrapeSeconds: 5,
  evaluateSeconds: 15,
  groupWaitSeconds: 10,
  groupIntervalSeconds: 60,
  quicker: 1,
};

/**
 * The same rules for a test that cannot wait for days: what takes 15 minutes takes 15 ÷ `times`. Scraping stays at a
 * second or above, so that the shortest range (2 minutes ÷ 30) still holds several samples.
 */
export function quickened(times: number): Pace {
  return {
    scrapeSeconds: Math.max(1, everyday.scrapeSeconds / times),
    evaluateSeconds: everyday.evaluateSeconds / times,
    groupWaitSeconds: everyday.groupWaitSeconds / times,
    groupIntervalSeconds: everyday.groupIntervalSeconds / times,
    quicker: times,
  };
}

/** A query with its ranges at this pace: `rate(x[5m])` at 30 times is `rate(x[10s])`. Bounds of values stay. */
export function atPace(query: string, pace: Pace): string {
  return query.replaceAll(
    /\[(\d+)m\]/g,
    (_, minutes: string) => `[${prometheusDuration((Number(minutes) * 60) / pace.quicker)}]`,
  );
}
