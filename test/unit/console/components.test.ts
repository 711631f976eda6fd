import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chart } from '../../../services/console/components/chart.ts';
import { field, formError } from '../../../services/console/components/form.ts';
import { html } from '../../../services/console/components/html.ts';
import { addressOf, linkWith } from '../../../services/console/components/links.ts';
import { sortNames, sortRows, sortingOf } from '../../../services/console/components/sorting.ts';
import { csvOf } from '../../../services/console/browser/csv-file.ts';
import { table } from '../../../services/console/components/table.ts';
import type { Column, TableOptions } from '../../../services/console/components/table.ts';

interface Row {
  readonly name: string;
  readonly size: number;
}

const columns: readonly Column<Row>[] = [
  { title: 'Name', kind: 'head', sort: 'name', cell: ({ name }) => name, csv: ({ name }) => name },
  { title: 'Size', kind: 'number', sort: 'size', cell: ({ size }) => size, csv: ({ size }) => size },
];
const address = { path: '/list', query: { user: 'ada & co', offset: '50' } };
const rows = [
  { name: 'a', size: 1 },
  { name: 'b', size: 2 },
];
const show = (options: Partial<TableOptions<Row>>): string =>
  table({ caption: 'The list', columns, rows, empty: html`<p>nothing</p>`, ...options }).markup;

describe('table', () => {
  test('rows that could not be read are an error, and no rows are an empty state, never an empty table', () => {
    expect(show({ rows: null })).toContain('The list cannot be shown right now');
    expect(show({ rows: [] })).toBe('<p>nothing</p>');
    expect(show({})).not.toContain('nothing');
  });

  test('a table of the first rows states it if there are more', () => {
    const first = { countMax: 1, sentence: 'The largest is shown.' };
    expect(show({ first })).toMatch(/>a<[^]*The largest is shown\./);
    expect(show({ first })).not.toContain('>b<');
    expect(show({ first: { ...first, countMax: 2 } })).not.toContain('The largest is shown.');
  });

  test('each cell names its column, for the cards of narrow screens', () => {
    expect(show({}).match(/data-title="Size"/g)).toHaveLength(2);
    expect(show({}).match(/role="rowheader"/g)).toHaveLength(2);
  });

  test('a sorted column states its order, and its link reverses it and keeps the filter', () => {
    const markup = show({ address, sorted: { by: 'size', descending: true } });
    expect(markup).toMatch(/aria-sort="descending"[^]*↓/);
    expect(markup).toContain('/list?user=ada+%26+co&amp;sort=size&amp;order=asc');
    expect(markup).toContain('/list?user=ada+%26+co&amp;sort=name&amp;order=desc');
  });

  test('rows are ordered by the column of the address; rows without a value are last', () => {
    const valued: readonly Column<Row>[] = columns.map((column) => ({
      ...column,
      value: ({ name, size }: Row) => (column.sort === 'name' ? name : size === 1 ? null : size),
    }));
    const some = [...rows, { name: 'c', size: 3 }];
    const order = (query: Record<string, string>): string => {
      const sorted = sortingOf(query, sortNames(valued), { by: 'name', descending: false });
      return sortRows(some, valued, sorted)
        .map(({ name }) => name)
        .join('');
    };
    expect(order({})).toBe('abc');
    expect(order({ sort: 'name' })).toBe('cba');
    expect(order({ sort: 'size' })).toBe('cba');
    expect(order({ sort: 'size', order: 'asc' })).toBe('bca');
    expect(order({ sort: 'none' })).toBe('abc');
  });

  test('pages link to the next and the previous rows', () => {
    const markup = show({ address, page: { offset: 50, size: 50, total: 120, more: true } });
    expect(markup).toContain('51 to 52 of 120');
    expect(markup).toMatch(/rel="prev" href="\/list\?user=ada\+%26\+co"/);
    expect(markup).toMatch(/rel="next" href="\/list\?user=ada\+%26\+co&amp;offset=100"/);
    const last = show({ address, rows: [], page: { offset: 100, size: 50, total: null, more: false } });
    expect(last).toContain('No more rows');
  });

  test('a CSV file keeps every text, and no text of it is a formula', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const [, line = ''] = csvOf(columns, [{ name, size: 7 }]).split(/\r\n(?=[^]*,7\r\n)/);
        const text = line
          .replace(/,7\r\n$/, '')
          .replace(/^"([^]*)"$/, '$1')
          .replaceAll('""', '"');
        const isNumber = /^-?\d+(\.\d+)?$/.test(name);
        expect(text).toBe(/^[=+\-@\t\r]/.test(name) && !isNumber ? `'${name}` : name);
        if (!isNumber) expect(text).not.toMatch(/^[=+\-@]/);
      }),
    );
    expect(csvOf(columns, [{ name: '=1+1', size: 1 }])).toBe("Name,Size\r\n'=1+1,1\r\n");
    expect(csvOf(columns, [{ name: 'a,"b"', size: 1 }])).toBe('Name,Size\r\n"a,""b""",1\r\n');
  });

  test.each([
    ['-12.5', '-12.5'],
    ['-3', '-3'],
    ['-1+1', "'-1+1"],
    ['-12.5e3', "'-12.5e3"],
    ['--1', "'--1"],
    ['+1', "'+1"],
  ])('%s is %s in a CSV file: a negative amount of money stays a number', (name, field) => {
    expect(csvOf(columns, [{ name, size: 1 }])).toBe(`Name,Size\r\n${field},1\r\n`);
  });
});

describe('links', () => {
  test('a link keeps the filter, and drops fields that belong to one response', () => {
    const request = {
      url: '/list?user=ada&part=x&done=saved',
      query: { user: 'ada', part: 'x', done: 'saved' },
    };
    expect(linkWith(addressOf(request as never), { offset: '50' })).toBe('/list?user=ada&offset=50');
    expect(linkWith(addressOf(request as never), { user: null })).toBe('/list');
  });
});

describe('form', () => {
  const refused = {
    values: new URLSearchParams({ limit: '"abc"' }),
    detail: 'Write a number.',
    field: 'limit',
  };

  test('after a refusal a field keeps the text, is marked as invalid and states the reason', () => {
    const { markup } = field({ name: 'limit', label: 'Limit', value: '10', hint: 'Units' }, refused);
    expect(markup).toContain('value="&quot;abc&quot;"');
    expect(markup).toContain('aria-invalid="true"');
    expect(markup).toContain('aria-describedby="limit-error limit-hint"');
    expect(markup).toContain('Write a number.');
  });

  test('other fields of the form keep their texts and are not marked', () => {
    const area = field({ kind: 'area', name: 'why', label: 'Why', value: 'x' }, refused).markup;
    expect(area).not.toContain('aria-invalid');
    expect(area).toContain('>\n</textarea>');
    const options = [
      ['', 'None'],
      ['"abc"', 'Mine'],
    ] as const;
    expect(field({ kind: 'select', name: 'limit', label: 'Limit', options }, refused).markup).toMatch(
      /value="&quot;abc&quot;" selected/,
    );
  });

  test('a refusal that concerns no field is stated above the form', () => {
    expect(formError({ ...refused, field: null })?.markup).toContain('Write a number.');
    expect(formError(null)).toBeNull();
  });
});

test('a chart is a table with the figures that are drawn, also the unknown ones', () => {
  const { markup } = chart<Row>({
    caption: 'Sizes',
    rows: [...rows, { name: 'c', size: Number.NaN }],
    atMs: ({ size }) => size * 1000,
    atText: ({ name }) => name,
    stepMs: 60_000,
    zone: 'Europe/Berlin',
    series: [
      {
        title: 'Size',
        colour: 'allowed',
        draw: 'stack',
        value: ({ size }) => (Number.isNaN(size) ? null : size),
        text: ({ size }) => `${size} MB`,
      },
    ],
  });
  expect(markup.match(/<tr data-at=/g)).toHaveLength(3);
  expect(markup).toMatch(/data-value="2">\s*2 MB/);
  expect(markup).toMatch(/data-value="">/);
  expect(markup).toContain('data-step="60"');
});
