import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';

export interface ChartSeries<Row> {
  readonly title: string;
  /** Name of the colour in the style sheet. */
  readonly colour: string;
  /** Null: unknown. */
  readonly value: (row: Row) => number | null;
  /** The value for display. */
  readonly text: (row: Row) => HtmlValue;
  /** `stack`: a bar on top of the series before it. `line`: a line. `dashed`: the values of the previous period. */
  readonly draw: 'stack' | 'line' | 'dashed';
}

export interface ChartOptions<Row> {
  /** Names the chart: `Requests of the last 24 hours`. */
  readonly caption: string;
  readonly rows: readonly Row[];
  readonly series: readonly ChartSeries<Row>[];
  /** Start of the row's interval, Unix milliseconds. */
  readonly atMs: (row: Row) => number;
  readonly atText: (row: Row) => string;
  readonly stepMs: number;
  /** IANA zone of the labels of the time axis. */
  readonly zone: string;
}

/**
 * A chart over time. The server renders a table; `chart.js` draws the figures of the table. So screen readers and
 * browsers without scripts have the same figures, and no other data is transferred.
 */
export function chart<Row>({ caption, rows, series, atMs, atText, stepMs, zone }: ChartOptions<Row>): Html {
  return html`<figure class="chart" data-chart data-step="${stepMs / 1000}" data-zone="${zone}">
    <div class="chart-legend" role="group" aria-label="Series" hidden hx-morph-skip></div>
    <div
      class="chart-plot"
      hidden
      hx-morph-skip
      tabindex="0"
      role="application"
      aria-label="${caption}. Arrow keys select a time; the table below has all figures."
    ></div>
    <p class="hidden" role="status" data-chart-status hx-morph-skip></p>
    <details class="fold small">
      <summary>Show as a table</summary>
      <div class="chart-table" tabindex="0" role="region" aria-label="${caption}">
        <table>
          <caption class="hidden">
            ${caption}
          </caption>
          <thead>
            <tr>
              <th scope="col">From</th>
              ${series.map(
                ({ title, colour, draw }) =>
                  html`<th scope="col" class="right" data-colour="${colour}" data-draw="${draw}">
                    ${title}
                  </th>`,
              )}
            </tr>
          </thead>
          <tbody>
            ${rows.map(
              (row) =>
                html`<tr data-at="${atMs(row) / 1000}">
                  <th scope="row" class="time">${atText(row)}</th>
                  ${series.map(
                    ({ value, text }) =>
                      html`<td class="right" data-value="${value(row) ?? ''}">${text(row)}</td>`,
                  )}
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>
  </figure>`;
}
