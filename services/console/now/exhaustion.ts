/** A reading of a counter. */
interface Sample {
  readonly atMs: number;
  readonly used: number;
}

/** Recent readings of counters, from which the page estimates when a limit is used up. */
export interface Exhaustion {
  /**
   * Stores a reading. Returns the milliseconds until the limit is used up if usage continues to grow as in the last
   * minute; null if it does not grow or too few readings are stored.
   */
  estimate(
    key: string,
    reading: { readonly atMs: number; readonly used: number; readonly remaining: number },
  ): number | null;
}

const memoryMs = 60_000;
const sampleIntervalMs = 1_000;
/** Shorter series of readings give no useful rate. */
const spanMsMin = 4_000;
const countersMax = 500;

/**
 * The used units of a sliding window grow by the units of new requests and shrink by the units that leave the window,
 * so their growth is the rate that matters for sliding windows and for quotas.
 */
export function createExhaustion(): Exhaustion {
  const byKey = new Map<string, Sample[]>();
  return {
    estimate(key, { atMs, used, remaining }) {
      const samples = (byKey.get(key) ?? []).filter((sample) => sample.atMs > atMs - memoryMs);
      const newest = samples.at(-1);
      // After a reset or the start of a new period, older readings state nothing about the rate.
      if (newest !== undefined && used < newest.used && remaining > 0 && used === 0) samples.length = 0;
      if (newest === undefined || atMs - newest.atMs >= sampleIntervalMs) samples.push({ atMs, used });
      byKey.delete(key);
      byKey.set(key, samples);
      const [oldestKey] = byKey.keys();
      if (byKey.size > countersMax && oldestKey !== undefined) byKey.delete(oldestKey);
      const [oldest] = samples;
      if (oldest === undefined || atMs - oldest.atMs < spanMsMin || remaining <= 0) return null;
      const growth = (used - oldest.used) / (atMs - oldest.atMs);
      return growth > 0 ? remaining / growth : null;
    },
  };
}
