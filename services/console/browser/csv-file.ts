import type { FastifyReply } from 'fastify';
import { counted } from '../../../shared/domain/text/counted.ts';
import type { FileColumn } from '../components/table.ts';

/** A CSV file that the browser stores under its name. */
export interface CsvFile<Row> {
  /** Name without `.csv`. */
  readonly name: string;
  readonly columns: readonly FileColumn<Row>[];
  readonly rows: readonly Row[];
  /** How the remaining rows are read, as a sentence for the last row of the file; null: the file has all rows. */
  readonly remaining: string | null;
  /** A sentence about all rows, for a row at the end of the file. */
  readonly note?: string | null;
}

/** Sends a CSV file. All files are sent by this function, so that each cut file says in its last row that it is cut. */
export function sendCsv<Row>(
  reply: FastifyReply,
  { name, columns, rows, remaining, note = null }: CsvFile<Row>,
): FastifyReply {
  // All rows of a CSV file have the same number of fields.
  const emptyFields = ','.repeat(Math.max(0, writtenColumns(columns).length - 1));
  const cut =
    remaining === null ? null : `This file was cut after ${counted(rows.length, 'row')}. ${remaining}`;
  const sentences = [note, cut].filter((sentence) => sentence !== null);
  return reply
    .header('cache-control', 'no-store')
    .header('content-disposition', `attachment; filename="${name}.csv"`)
    .type('text/csv; charset=utf-8')
    .send(
      csvOf(columns, rows) + sentences.map((sentence) => `${csvField(sentence)}${emptyFields}\r\n`).join(''),
    );
}

/** The sentence that names the address of the next file; null if no row follows. */
export function nextFile(href: string | null): string | null {
  return href === null ? null : `The remaining rows: ${href}`;
}

/** The rows as CSV (RFC 4180). */
export function csvOf<Row>(columns: readonly FileColumn<Row>[], rows: readonly Row[]): string {
  const written = writtenColumns(columns);
  const lines = [
    written.map(({ title }) => csvField(title)),
    ...rows.map((row) => written.map(({ csv }) => csvField(csv?.(row) ?? ''))),
  ];
  return lines.map((line) => `${line.join(',')}\r\n`).join('');
}

function writtenColumns<Row>(columns: readonly FileColumn<Row>[]): readonly FileColumn<Row>[] {
  return columns.filter(({ csv }) => csv !== undefined);
}

/**
 * Spreadsheets run a text that begins with one of `= + - @` as a formula. Clients choose paths and user ids, so such a
 * text gets an apostrophe, which spreadsheets read as the mark of a text. A negative number, such as a refund, stays a number.
 */
function csvField(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const isFormula = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value);
  const text = isFormula ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
