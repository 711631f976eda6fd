/** The figures that `npm run bench` reports beside its text. */
export type FigureName = (typeof goals)[number]['figure'] | CapacityFigure;

/** The figures from which the capacity model is computed, beside those of Redis in the table of aims. */
export const capacityFigures = [
  'pluginMicros',
  'proxyMicros',
  'redisMicrosExact',
  'redisMicrosLarge',
  'redisMicrosLeased',
  'aggregatorMicros',
  'clickhouseMicros',
  'kafkaBytes',
  'clickhouseBytes',
  'redisBytesIdle',
  'redisBytesBusy',
] as const;
export type CapacityFigure = (typeof capacityFigures)[number];

interface Goal {
  readonly label: string;
  readonly figure: string;
  readonly unit: '' | 'ms' | 'µs' | '/s' | 'kB' | 'MiB';
  /** The figure is at least or at most this; absent: it is reported only. */
  readonly least?: number;
  readonly most?: number;
}

const plugin = 'plugin, three windows';
const added = 'at 2,000/s, 100 tenants';
const worst = 'worst admitted in any window at limit 100';

/** The rows of the table of aims. */
export const goals = [
  { figure: 'pluginToBare', label: `${plugin} ÷ bare, 100 tenants`, unit: '', least: 0.75 },
  { figure: 'unleasedToBare', label: 'the same, each check decided by Redis', unit: '', least: 0.75 },
  {
    figure: 'pluginToFastifyRateLimit',
    label: `${plugin} ÷ @fastify/rate-limit with one`,
    unit: '',
    least: 1.2,
  },
  {
    figure: 'unleasedToFastifyRateLimit',
    label: 'the same, each check decided by Redis',
    unit: '',
    least: 1.2,
  },
  {
    figure: 'hotToBare',
    label: 'one hot tenant (limit 1,000,000/min), leased ÷ bare',
    unit: '',
    least: 0.78,
  },
  { figure: 'largeP50', label: `added p50 ${added}, large windows`, unit: 'ms', most: 0.13 },
  { figure: 'largeP90', label: 'added p90', unit: 'ms', most: 0.17 },
  { figure: 'largeP99', label: 'added p99', unit: 'ms', most: 1 },
  { figure: 'exactP50', label: `added p50 ${added}, exact windows`, unit: 'ms', most: 0.13 },
  { figure: 'exactP90', label: 'added p90', unit: 'ms', most: 0.17 },
  { figure: 'exactP99', label: 'added p99', unit: 'ms', most: 1 },
  { figure: 'leasedP50', label: 'added p50 at 2,000/s, one tenant, leased', unit: 'ms', most: 0.05 },
  { figure: 'leasedP90', label: 'added p90', unit: 'ms', most: 0.08 },
  { figure: 'leasedP99', label: 'added p99', unit: 'ms', most: 0.5 },
  { figure: 'bareP99Noise', label: 'p99 of bare against itself (noise of the rows above)', unit: 'ms' },
  { figure: 'redisMicrosLarge', label: 'Redis CPU a check at 2,000/s, large windows', unit: 'µs', most: 48 },
  { figure: 'redisMicrosExact', label: 'Redis CPU a check at 2,000/s, exact windows', unit: 'µs', most: 48 },
  { figure: 'redisMicrosLeased', label: 'Redis CPU a check at 2,000/s, leased', unit: 'µs', most: 8 },
  { figure: 'worstAtBoundary', label: `${worst}, bursts at boundaries`, unit: '', most: 100 },
  { figure: 'worstSteady', label: `${worst}, steadily four times the limit`, unit: '', most: 100 },
  { figure: 'eventsOnToOff', label: 'events on ÷ off', unit: '', least: 0.8 },
  { figure: 'proxyToFastify', label: 'gateway as proxy ÷ bare Fastify + undici proxy', unit: '' },
  { figure: 'proxyToNginx', label: 'gateway as proxy ÷ nginx as proxy', unit: '' },
  { figure: 'drainOne', label: 'drain, one aggregator', unit: '/s', least: 65_000 },
  { figure: 'drainTwo', label: 'drain, two aggregators', unit: '/s', least: 80_000 },
  { figure: 'drainToBare', label: 'drain, one aggregator ÷ bare loop', unit: '', least: 0.9 },
  { figure: 'freshnessP50', label: 'freshness at 2,000/s, p50', unit: 'ms', most: 150 },
  { figure: 'freshnessP99', label: 'freshness at 2,000/s, p99', unit: 'ms', most: 300 },
  { figure: 'consoleP95', label: 'first view of a page, all pages, p95', unit: 'ms', most: 300 },
  { figure: 'consoleSlowestP95', label: 'first view of the slowest page, p95', unit: 'ms', most: 300 },
  { figure: 'consoleScriptKilobytes', label: 'scripts of a page, compressed', unit: 'kB', most: 60 },
  {
    figure: 'consolePausedMs',
    label: 'counters in the portal while ClickHouse is paused',
    unit: 'ms',
    most: 300,
  },
  { figure: 'backtestRate', label: 'backtest, requests', unit: '/s', least: 20_000 },
  { figure: 'backtestMebibytes', label: 'backtest, resident memory', unit: 'MiB', most: 800 },
] as const satisfies readonly Goal[];

/** The rows of the table: label, figure, aim, and by how much the aim is missed. Without `all`, only the measured figures. */
export function goalRows(figures: ReadonlyMap<FigureName, number>, all: boolean): string[][] {
  const own: readonly Goal[] = goals.filter(({ figure }) => all || figures.has(figure));
  return own.map((goal) => {
    const value = figures.get(goal.figure as FigureName) ?? NaN;
    const shown = Number.isNaN(value) ? 'not measured' : formatted(value, goal.unit);
    return [goal.label, shown, aimOf(goal), missedBy(value, goal)];
  });
}

function aimOf({ least, most, unit }: Goal): string {
  if (least !== undefined) return `≥ ${formatted(least, unit)}`;
  return most === undefined ? '–' : `≤ ${formatted(most, unit)}`;
}

function missedBy(value: number, { least = -Infinity, most = Infinity, unit }: Goal): string {
  if (Number.isNaN(value) || (least === -Infinity && most === Infinity)) return '–';
  const by = Math.max(least - value, value - most);
  return by <= 0 ? 'met' : formatted(by, unit);
}

function formatted(value: number, unit: Goal['unit']): string {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const number = value.toLocaleString('en', { maximumFractionDigits: digits });
  return unit === '' || unit === '/s' ? `${number}${unit}` : `${number} ${unit}`;
}
