/**
 * Draws served and refused requests as stacked bars, and redraws them with new data. The table below the graph shows
 * the same figures.
 */
import uPlot from '/vendor/uplot/uPlot.esm.js';

const refreshEveryMs = 15_000;
const whole = new Intl.NumberFormat('en-US');
const dark = matchMedia('(prefers-color-scheme: dark)');

for (const element of document.querySelectorAll('[data-graph]')) void run(element);

async function run(element) {
  let plot = null;
  let points = [];
  const draw = () => {
    plot?.destroy();
    plot = new uPlot(options(element, points), series(points), element);
    element.dataset.drawn = String(points.length);
  };
  const load = async () => {
    if (document.visibilityState === 'visible') {
      try {
        const response = await fetch(element.dataset.graph, { signal: AbortSignal.timeout(10_000) });
        if (response.ok) {
          ({ points } = await response.json());
          if (plot === null) draw();
          else plot.setData(series(points));
        }
      } catch {
        // If a refresh fails, the graph keeps its last figures. The line about freshness shows how old they are.
      }
    }
    setTimeout(load, refreshEveryMs);
  };
  await load();
  dark.addEventListener('change', draw);
  new ResizeObserver(() => plot?.setSize(sizeOf(element))).observe(element);
}

/**
 * Draws refused requests above served requests: the first series is the sum of both, and the series of served
 * requests covers its lower part.
 */
function series(points) {
  return [
    points.map((point) => Date.parse(point.at) / 1000),
    points.map((point) => point.requests),
    points.map((point) => point.requests - point.limited),
  ];
}

function sizeOf(element) {
  return { width: Math.max(200, element.clientWidth), height: element.clientHeight };
}

function options(element, points) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const bars = uPlot.paths.bars({ size: [0.72, 48], radius: 0.15 });
  const axis = {
    stroke: colour('--ink-soft'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  const stepSeconds = points.length > 1 ? (Date.parse(points[1].at) - Date.parse(points[0].at)) / 1000 : 3600;
  return {
    ...sizeOf(element),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
    padding: [12, 20, 0, 0],
    cursor: { y: false, points: { show: false }, drag: { setScale: false } },
    scales: {
      x: { time: true, range: (_plot, min, max) => [min - stepSeconds / 2, max + stepSeconds / 2] },
      y: { range: (_plot, _min, max) => [0, Math.max(4, max * 1.08)] },
    },
    axes: [
      {
        ...axis,
        size: 30,
        grid: { show: false },
        values: (_plot, splits) => splits.map((at) => label(at, element.dataset.span)),
      },
      {
        ...axis,
        size: 56,
        values: (_plot, splits) => splits.map((value) => (Number.isInteger(value) ? short(value) : '')),
      },
    ],
    series: [
      {},
      { label: 'Refused', fill: colour('--limited'), width: 0, paths: bars, points: { show: false } },
      { label: 'Served', fill: colour('--allowed'), width: 0, paths: bars, points: { show: false } },
    ],
    hooks: { setCursor: [(plot) => legend(element, plot)] },
  };
}

function label(seconds, span) {
  const date = new Date(seconds * 1000);
  const day = `${date.getUTCDate()} ${date.toLocaleString('en-GB', { month: 'short', timeZone: 'UTC' })}`;
  const time = `${String(date.getUTCHours()).padStart(2, '0')}:${String(date.getUTCMinutes()).padStart(2, '0')}`;
  if (span === '30d') return day;
  return time === '00:00' ? day : time;
}

function short(value) {
  return value >= 10_000
    ? new Intl.NumberFormat('en-US', { notation: 'compact' }).format(value)
    : whole.format(value);
}

function legend(element, plot) {
  const line = element.parentElement.querySelector('.legend');
  const { idx } = plot.cursor;
  const [at, all, served] = plot.data;
  const has = idx !== null && idx !== undefined && at[idx] !== undefined;
  const set = (key, text) => {
    line.querySelector(`[data-key=${key}]`).textContent = text;
  };
  set('allowed', has ? `Served ${whole.format(served[idx])}` : 'Served');
  set('limited', has ? `Refused ${whole.format(all[idx] - served[idx])}` : 'Refused');
  set('at', has ? `from ${new Date(at[idx] * 1000).toISOString().slice(0, 16).replace('T', ' ')} UTC` : '');
}
