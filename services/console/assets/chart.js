/**
 * Draws the tables of `components/chart.ts` with uPlot: tooltip, selection by the keyboard, and a legend whose entries
 * hide and show their series. A chart is drawn again when the server replaces its part of the page.
 */
const dark = matchMedia('(prefers-color-scheme: dark)');
const drawn = new Map();

drawAll();
document.addEventListener('htmx:after:swap', drawAll);
dark.addEventListener('change', () => {
  for (const chart of drawn.values()) chart.draw();
});

function drawAll() {
  for (const [figure, chart] of drawn) {
    if (figure.isConnected) continue;
    chart.remove();
    drawn.delete(figure);
  }
  for (const figure of document.querySelectorAll('[data-chart]')) {
    const chart = drawn.get(figure);
    if (chart === undefined) drawn.set(figure, createChart(figure));
    else chart.draw();
  }
}

function createChart(figure) {
  const place = figure.querySelector('.chart-plot');
  const legend = figure.querySelector('.chart-legend');
  const status = figure.querySelector('[data-chart-status]');
  const tooltip = document.createElement('div');
  tooltip.className = 'chart-tooltip';
  tooltip.hidden = true;
  const hidden = new Set();
  let plot = null;
  let table = readTable(figure);
  place.hidden = false;
  legend.hidden = false;
  place.addEventListener('keydown', selectByKey);
  place.addEventListener('blur', () => show(null));
  const observer = new ResizeObserver(() => plot?.setSize(sizeOf(place)));
  observer.observe(place);
  draw();
  return { draw, remove };

  function draw() {
    plot?.destroy();
    table = readTable(figure);
    place.replaceChildren(tooltip);
    plot = new uPlot(optionsOf(figure, table, hidden, show), dataOf(table, hidden), place);
    drawLegend();
    figure.dataset.drawn = String(table.at.length);
  }

  function remove() {
    observer.disconnect();
    plot?.destroy();
  }

  function drawLegend() {
    legend.replaceChildren(
      ...table.series.map(({ title, colour }) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.className = `key key-${colour}`;
        button.textContent = title;
        button.setAttribute('aria-pressed', String(!hidden.has(title)));
        button.addEventListener('click', () => {
          if (!hidden.delete(title)) hidden.add(title);
          draw();
        });
        return button;
      }),
    );
  }

  function shownSeries() {
    return table.series.filter(({ title }) => !hidden.has(title));
  }

  /** Shows the figures of an interval in the tooltip; null hides it. */
  function show(index) {
    tooltip.hidden = index === null;
    if (index === null) return;
    const time = document.createElement('strong');
    time.textContent = table.labels[index];
    const lines = shownSeries().map(({ title, colour, texts }) => {
      const line = document.createElement('span');
      line.className = `key key-${colour}`;
      line.textContent = `${title}: ${texts[index]}`;
      return line;
    });
    tooltip.replaceChildren(time, ...lines);
    const left = plot.valToPos(table.at[index], 'x') + plot.bbox.left / devicePixelRatio;
    const widest = place.clientWidth - tooltip.offsetWidth;
    tooltip.style.left = `${Math.max(0, Math.min(widest, left + 12))}px`;
  }

  function selectByKey(event) {
    const last = table.at.length - 1;
    const index = plot.cursor.idx ?? last;
    const next = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: last }[event.key];
    if (event.key === 'Escape') plot.setCursor({ left: -10, top: -10 });
    if (next === undefined) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(last, next));
    plot.setCursor({ left: plot.valToPos(table.at[at], 'x'), top: 10 });
    show(at);
    status.textContent = [
      table.labels[at],
      ...shownSeries().map(({ title, texts }) => `${title} ${texts[at]}`),
    ].join(', ');
  }
}

function readTable(figure) {
  const rows = [...figure.querySelectorAll('tbody tr')];
  const heads = [...figure.querySelectorAll('thead th')].slice(1);
  return {
    at: rows.map((row) => Number(row.dataset.at)),
    labels: rows.map((row) => row.cells[0].textContent.trim()),
    series: heads.map(({ textContent, dataset }, index) => {
      const cells = rows.map((row) => row.cells[index + 1]);
      return {
        title: textContent.trim(),
        colour: dataset.colour,
        draw: dataset.draw,
        values: cells.map((cell) => (cell.dataset.value === '' ? null : Number(cell.dataset.value))),
        texts: cells.map((cell) => cell.textContent.trim()),
      };
    }),
  };
}

/** The drawn series. Stacked bars are drawn from the highest sum to the lowest, so that each covers the one below. */
function visible(table, hidden) {
  const shown = table.series.filter(({ title }) => !hidden.has(title));
  const sums = table.at.map(() => 0);
  const stack = shown
    .filter(({ draw }) => draw === 'stack')
    .map((series) => {
      const tops = series.values.map((value, index) => (sums[index] += value ?? 0));
      return { ...series, values: tops };
    });
  return [...stack.toReversed(), ...shown.filter(({ draw }) => draw !== 'stack')];
}

function dataOf(table, hidden) {
  return [table.at, ...visible(table, hidden).map(({ values }) => values)];
}

function sizeOf(place) {
  return { width: Math.max(200, place.clientWidth), height: 250 };
}

function optionsOf(figure, table, hidden, onSelect) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const { zone, step } = figure.dataset;
  const half = Number(step) / 2;
  const axis = {
    stroke: colour('ink-soft'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  };
  return {
    ...sizeOf(figure.querySelector('.chart-plot')),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone),
    padding: [12, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { setScale: false } },
    scales: {
      x: { time: true, range: (_plot, min, max) => [min - half, max + half] },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 4] },
    },
    axes: [
      {
        ...axis,
        size: 30,
        space: 64,
        grid: { show: false },
        values: (_plot, splits) => splits.map((at) => timeLabel(at, zone, Number(step))),
      },
      { ...axis, size: 60, values: (_plot, splits) => splits.map(shortNumber) },
    ],
    series: [
      {},
      ...visible(table, hidden).map(({ colour: name, draw }) =>
        draw === 'stack'
          ? {
              fill: colour(name),
              width: 0,
              paths: uPlot.paths.bars({ size: [0.72, 48], radius: 0.15 }),
              points: { show: false },
            }
          : {
              stroke: colour(name),
              width: 2,
              points: { show: false },
              ...(draw === 'dashed' ? { dash: [5, 5] } : {}),
            },
      ),
    ],
    hooks: { setCursor: [({ cursor }) => onSelect(cursor.left < 0 ? null : (cursor.idx ?? null))] },
  };
}

function timeLabel(seconds, timeZone, stepSeconds) {
  const date = new Date(seconds * 1000);
  const day = date.toLocaleString('en-GB', { timeZone, day: 'numeric', month: 'short' });
  if (stepSeconds >= 86_400) return day;
  const time = date.toLocaleString('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' });
  return time === '00:00' ? day : time;
}

function shortNumber(value) {
  return new Intl.NumberFormat('en-US', {
    notation: value >= 10_000 ? 'compact' : 'standard',
    maximumSignificantDigits: 4,
  }).format(value);
}
