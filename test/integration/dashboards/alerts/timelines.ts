/**
 * A fault on recorded series with a sample every 10 s, and the alerts of one rule at some times. The fault begins after
 * 2 minutes. promtool evaluates the rules every 10 s.
 */
export interface Timeline {
  readonly title: string;
  readonly series: Readonly<Record<string, string>>;
  /** Seconds since the first sample → the alert's summary, or null where no alert fires. */
  readonly expected: Readonly<Record<number, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Alerts whose state the rule reads. */
  readonly alsoEvaluated?: readonly string[];
  /** The annotation `where`, for rules that have it. */
  readonly where?: string;
  /** Other values of `where` at some times, e.g. of a rate while scrapes are missing. */
  readonly whereAt?: Readonly<Record<number, string>>;
}

const stepSeconds = 10;
const faultAt = 120;
const faultSample = faultAt / stepSeconds;

interface GaugeFault {
  readonly series: string;
  readonly good: number;
  readonly bad: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly forMinutes: number;
  readonly keepFiringMinutes?: number;
  readonly where?: string;
  /** Series that the rule needs beside the one with the fault. */
  readonly others?: Readonly<Record<string, string>>;
}

/** Timelines of a rule on a gauge: the fault ends; scrapes are missing; the process restarts; its target vanishes. */
export function gaugeTimelines(fault: GaugeFault): Timeline[] {
  const { series, good, bad, labels = {}, summary, forMinutes, keepFiringMinutes = 0 } = fault;
  const { where, others = {} } = fault;
  const fires = faultAt + forMinutes * 60;
  const samples = forMinutes * 6 + 24;
  const ends = faultAt + samples * stepSeconds;
  const quietAgain = ends + keepFiringMinutes * 60 + stepSeconds;
  const timeline = (title: string, values: string, expected: Timeline['expected']): Timeline => ({
    ...{ title, series: { ...others, [series]: values }, expected, labels },
    ...(where !== undefined && { where }),
  });
  const before = `${good}x${faultSample - 1}`;
  const whileBad: Timeline['expected'] = {
    [faultAt - stepSeconds]: null,
    ...(forMinutes > 0 && { [fires - stepSeconds]: null }),
    [fires]: summary,
    [ends - stepSeconds]: summary,
  };
  return [
    timeline('the fault ends', `${before} ${bad}x${samples - 1} ${good}x60`, {
      ...whileBad,
      [quietAgain]: null,
    }),
    timeline(
      'four minutes of scrapes are missing',
      `${before} ${bad} _x23 ${bad}x${samples - 25} ${good}x60`,
      { ...whileBad, [quietAgain]: null },
    ),
    timeline('the process restarts', `${before} ${bad}x${samples - 1} stale _x3 ${good}x60`, {
      ...whileBad,
      [quietAgain]: null,
    }),
    timeline('the target vanishes', `${before} ${bad}x${samples - 1} stale _x60`, {
      ...whileBad,
      [quietAgain]: null,
    }),
  ];
}

interface CounterFault {
  readonly series: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Summary for an increase by `count`. */
  readonly summary: (count: number) => string;
  readonly rangeMinutes: number;
  readonly where?: string;
  /** Series that the rule needs beside the one with the fault. */
  readonly others?: Readonly<Record<string, string>>;
}

/** Timelines of a rule on the increase of a counter in the last minutes, which fires at once. */
export function counterTimelines(fault: CounterFault): Timeline[] {
  const { series, labels = {}, summary, rangeMinutes, where, others = {} } = fault;
  const ends = faultAt + rangeMinutes * 60;
  const rest = rangeMinutes * 6 + 30;
  const timeline = (title: string, values: string, expected: Timeline['expected']): Timeline => ({
    ...{ title, series: { ...others, [series]: values }, expected, labels },
    ...(where !== undefined && { where }),
  });
  const before = `0x${faultSample - 1}`;
  const start = { [faultAt - stepSeconds]: null, [faultAt]: summary(4) };
  return [
    timeline('the counter rises once', `${before} 4x${rest}`, {
      ...start,
      [ends - 2 * stepSeconds]: summary(4),
      [ends + 2 * stepSeconds]: null,
    }),
    timeline('a minute of scrapes is missing', `${before} 4 _x6 4x${rest}`, {
      ...start,
      [faultAt + 60]: summary(4),
      [ends + 2 * stepSeconds]: null,
    }),
    timeline('the process restarts and counts from 0 again', `${before} 4x2 stale _x2 0x2 3x${rest}`, {
      ...start,
      [faultAt + 120]: summary(7),
      [ends + 120]: null,
    }),
    timeline('the target vanishes after the rise', `${before} 4x2 stale _x${rest}`, {
      ...start,
      [faultAt + 40]: summary(4),
      [ends + 2 * stepSeconds]: null,
    }),
  ];
}
