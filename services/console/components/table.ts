import { nounFor } from '../../../shared/domain/text/counted.ts';
import { html } from './html.ts';
import type { Html, HtmlValue } from './html.ts';
import { failedState } from './layout.ts';
import { linkWith } from './links.ts';
import type { Address } from './links.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => HtmlValue;
  /** `head`: the cell names its row. */
  readonly kind?: 'head' | 'text' | 'sentence' | 'number' | 'time' | 'meter';
  /** Value of `sort` in the query for this order; absent: the table cannot be sorted by the column. */
  readonly sort?: string;
  /** Value by which `sortRows` orders the rows; null: unknown. */
  readonly value?: (row: Row) => number | bigint | string | null;
  /** Value of the column in the CSV file. Columns without this function are not in the file. */
  readonly csv?: (row: Row) => string | number | null;
}

/** Order of a table. */
export interface Sorting<Name extends string = string> {
  /** Value of `sort` of the column. */
  readonly by: Name;
  readonly descending: boolean;
}

/** A column of the CSV file of a table. */
export type FileColumn<Row> = Pick<Column<Row>, 'title' | 'csv'>;

export interface TableOptions<Row> {
  /** Names the table for screen readers, and in the text that replaces a table that could not be read. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  /** Null: the rows could not be read. */
  readonly rows: readonly Row[] | null;
  /** Replaces a table without rows. */
  readonly empty: Html;
  /** Address of the page. Links of the table change its query. Absent: the table has no links. */
  readonly address?: Address;
  readonly sorted?: Sorting;
  readonly page?: Page;
  /** Present: the table has only the first of the rows, and states it if there are more. */
  readonly first?: FirstRows;
  /** Present: the list is read in parts, each from where the one before ended. */
  readonly cursor?: CursorPage;
  /**
   * Present if the address with `format=csv` is the table as a file. `complete`: one file with all rows; `parts`: files of
   * `fileRowsMax` rows, each naming the next.
   */
  readonly csv?: 'complete' | 'parts';
}

export interface FirstRows {
  readonly countMax: number;
  /** A sentence about the rows of the table, if there are more than these. */
  readonly sentence: string;
}

/** Part of a list that begins at the value of `before` in the address. */
export interface CursorPage {
  /** True for the part with the first rows. */
  readonly first: boolean;
  /** Value of `before` for the next part; null: no row follows. */
  readonly next: string | null;
  /** Label of the link to the next part. */
  readonly nextLabel: string;
}

/** Part of a list: `size` rows after the first `offset` rows. */
export interface Page {
  readonly offset: number;
  readonly size: number;
  /** Number of rows of the list. Null: it is not counted, and `more` states whether rows follow. */
  readonly total: number | null;
  readonly more: boolean;
}

/**
 * The table of all lists. In a narrow container each row is a card with the titles of its cells. The roles keep the meaning
 * of a table there, because browsers derive roles from the display type.
 */
export function table<Row>(options: TableOptions<Row>): Html {
  const { caption, columns, empty, first } = options;
  if (options.rows === null) return failedState(caption);
  const rows = options.rows.slice(0, first?.countMax);
  if (rows.length === 0 && (options.page?.offset ?? 0) === 0)
    return html`${empty}${cursorLinks(options.cursor, options.address)}`;
  return html`<div class="scroll ${cardsBelow(columns)}">
      ${orderLinks(options)}
      <table class="${layoutOf(columns)}" role="table">
        <caption class="hidden">
          ${caption}
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            ${columns.map((column) => headCell(column, options))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${rows.map(
            (row) =>
              html`<tr role="row">
                ${columns.map((column) => bodyCell(column, row))}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${first !== undefined && options.rows.length > rows.length ? html`<p class="soft small">${first.sentence}</p>` : null}
    ${foot(options)}`;
}

/** Widths that columns need at least, with their padding, in rem. */
const widths = { head: 8, text: 6.5, sentence: 13, number: 5.5, time: 14, shortTime: 9.5, meter: 10 };
const untitledWidth = 4.5;

/** Times take two lines in tables with several times or many columns. */
function hasShortTimes<Row>(columns: readonly Column<Row>[]): boolean {
  return columns.length > 6 || columns.filter(({ kind }) => kind === 'time').length > 1;
}

/** Class of the container for the width below which the rows are cards, because the columns do not fit. */
function cardsBelow<Row>(columns: readonly Column<Row>[]): string {
  const time = hasShortTimes(columns) ? widths.shortTime : widths.time;
  const neededRem = columns.reduce(
    (sum, { title, kind = 'text' }) =>
      sum + (title === '' ? untitledWidth : kind === 'time' ? time : widths[kind]),
    0,
  );
  return neededRem <= 32 ? '' : neededRem <= 40 ? 'needs-40' : neededRem <= 48 ? 'needs-48' : 'needs-56';
}

/** Classes of a table whose cells need less width than those of other tables. */
function layoutOf<Row>(columns: readonly Column<Row>[]): string {
  const { length } = columns;
  const many = length > 6 ? ' many-columns most-columns' : length > 4 ? ' many-columns' : '';
  return `list-table${many}${hasShortTimes(columns) ? ' short-times' : ''}`;
}

function headCell<Row>({ title, kind, sort }: Column<Row>, { sorted, address }: TableOptions<Row>): Html {
  const here = sort !== undefined && sorted?.by === sort;
  const order = !here ? null : sorted.descending ? 'descending' : 'ascending';
  const label =
    title === ''
      ? html`<span class="hidden">Details</span>`
      : sort === undefined || address === undefined
        ? title
        : html`<a class="sort" href="${orderLink(address, sort, here && sorted.descending)}"
            >${title}<span aria-hidden="true"
              >${order === null ? '' : order === 'descending' ? ' ↓' : ' ↑'}</span
            ></a
          >`;
  return html`<th
    role="columnheader"
    scope="col"
    ${kind === 'number' ? html`class="right"` : null}
    ${order === null ? null : html`aria-sort="${order}"`}
  >
    ${label}
  </th>`;
}

/** Link to the other direction if the column is the first of the order, otherwise to its descending order. */
function orderLink(address: Address, sort: string, descendingNow: boolean): string {
  return linkWith(address, { sort, order: descendingNow ? 'asc' : 'desc', offset: null, part: null });
}

/** The orders of a table in a narrow container, where its head is hidden. */
function orderLinks<Row>({ columns, sorted, address }: TableOptions<Row>): Html | null {
  if (address === undefined || sorted === undefined) return null;
  return html`<details class="order fold small">
    <summary>Order</summary>
    <ul>
      ${columns.map(({ title, sort }) => {
        if (sort === undefined) return null;
        const here = sorted.by === sort;
        return html`<li>
          <a href="${orderLink(address, sort, here && sorted.descending)}"
            >${title}${here ? (sorted.descending ? ' ↓' : ' ↑') : ''}</a
          >
        </li>`;
      })}
    </ul>
  </details>`;
}

const classes = {
  number: 'right',
  time: 'time',
  meter: 'meter',
  sentence: 'sentence',
  text: '',
  head: '',
} as const;

function bodyCell<Row>({ title, kind = 'text', cell }: Column<Row>, row: Row): Html {
  if (kind === 'head') return html`<th role="rowheader" scope="row"><div>${cell(row)}</div></th>`;
  return html`<td role="cell" class="${classes[kind]}" data-title="${title}"><div>${cell(row)}</div></td>`;
}

/** Most rows of a file that is sent in parts. */
export const fileRowsMax = 10_000;

function foot<Row>({ rows, page, cursor, csv, address }: TableOptions<Row>): Html | null {
  if (address === undefined || (page === undefined && cursor === undefined && csv === undefined)) return null;
  return html`<div class="table-foot">
    ${page === undefined ? (cursorLinks(cursor, address) ?? html`<span></span>`) : pager(address, page, rows?.length ?? 0)}
    ${csv === undefined ? null : fileLink(csv, address)}
  </div>`;
}

function fileLink(csv: 'complete' | 'parts', address: Address): Html {
  const href = linkWith(address, { format: 'csv', offset: null, before: null, part: null });
  return html`<span>
    <a href="${href}" download>Download as CSV</a>
    ${
      csv === 'complete'
        ? null
        : html`<span class="soft small"
            >at most ${fileRowsMax.toLocaleString('en-US')} rows; the last row has the address of the next
            file</span
          >`
    }
  </span>`;
}

/** Links to the first part and to the next part of a list that is read in parts. */
function cursorLinks(cursor: CursorPage | undefined, address: Address | undefined): Html | null {
  if (cursor === undefined || address === undefined) return null;
  const link = (before: string | null): string => linkWith(address, { before, part: null });
  return html`<nav class="pager" aria-label="Pages">
    ${cursor.first ? null : html`<a href="${link(null)}">Newest</a>`}
    ${cursor.next === null ? null : html`<a rel="next" href="${link(cursor.next)}">${cursor.nextLabel}</a>`}
  </nav>`;
}

function pager(address: Address, { offset, size, total, more }: Page, shown: number): Html | null {
  if (offset === 0 && !more) return html`<span class="soft">${String(shown)} ${nounFor(shown, 'row')}</span>`;
  const link = (to: number): string =>
    linkWith(address, { offset: to === 0 ? null : String(to), part: null });
  const range = shown === 0 ? 'No more rows' : `${offset + 1} to ${offset + shown}`;
  return html`<nav class="pager" aria-label="Pages">
    ${offset > 0 ? html`<a rel="prev" href="${link(Math.max(0, offset - size))}">Previous</a>` : null}
    <span class="soft">${range}${total === null ? '' : ` of ${total.toLocaleString('en-US')}`}</span>
    ${more ? html`<a rel="next" href="${link(offset + size)}">Next</a>` : null}
  </nav>`;
}
