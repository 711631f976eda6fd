import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import type { CapacityFigures, MeasuredCapacity } from '../../../services/cli/capacity/measured-capacity.ts';
import { table } from '../bench.ts';
import { capacityFigures } from './figures.ts';
import type { FigureName } from './figures.ts';
import type { Provenance } from './provenance.ts';
import { sentenceOf } from './provenance.ts';
import { withBlock } from './write-section.ts';

const root = join(import.meta.dirname, '../../..');
const source = join(root, 'services/cli/capacity/figures.ts');
const page = join(root, 'docs/capacity.md');

/** Writes the figures of a run where `tollgate size` and docs/capacity.md have them. */
export async function writeCapacity(
  figures: ReadonlyMap<FigureName, number>,
  provenance: Provenance,
): Promise<void> {
  const own = capacityFigures.map((name) => [name, Number(figures.get(name)?.toPrecision(4))] as const);
  const measured: MeasuredCapacity = {
    ...provenance,
    figures: Object.fromEntries(own) as Record<keyof CapacityFigures, number>,
  };
  const text = await readFile(source, 'utf8');
  const declaration = 'export const measured: MeasuredCapacity = ';
  const next = `${text.slice(0, text.indexOf(declaration))}${declaration}${JSON.stringify(measured)};\n`;
  const style = { ...(await resolveConfig(source)), filepath: source };
  await writeFile(source, await format(next, style));
  await writeFile(page, withBlock(await readFile(page, 'utf8'), 'figures', figuresBlock(measured)));
}

const rows: readonly (readonly [keyof CapacityFigures, string, 'µs' | 'bytes', string])[] = [
  ['proxyMicros', 'gateway as a proxy, a request with its event', 'µs', 'requests/s'],
  ['pluginMicros', 'gateway in the process of an API, a request with its event', 'µs', 'requests/s'],
  ['redisMicrosExact', 'Redis, a check of three windows, two of them exact', 'µs', 'checks/s'],
  ['redisMicrosLarge', 'Redis, a check of three windows above 1,000 units', 'µs', 'checks/s'],
  ['redisMicrosLeased', 'Redis, a check of a busy tenant, leased', 'µs', 'checks/s'],
  ['aggregatorMicros', 'aggregator, an event', 'µs', 'events/s'],
  ['clickhouseMicros', 'ClickHouse, an event with its totals', 'µs', 'events/s'],
  ['kafkaBytes', 'Kafka, an event on the wire and in each replica', 'bytes', ''],
  ['clickhouseBytes', 'ClickHouse, an event, merged', 'bytes', ''],
  ['redisBytesIdle', 'Redis, a tenant with three windows, 1 request in them', 'bytes', ''],
  ['redisBytesBusy', 'Redis, the same, 20 requests', 'bytes', ''],
];

/** The figures of docs/capacity.md, as Markdown. */
export function figuresBlock(measured: MeasuredCapacity): string {
  const { figures, ...provenance } = measured;
  const cells = rows.map(([name, label, unit, rate]) => [
    label,
    `\`${name}\``,
    `${figures[name]} ${unit}`,
    unit === 'µs' ? `${Math.round(1e6 / figures[name]).toLocaleString('en')} ${rate}` : '–',
  ]);
  return `${table(['what', 'figure', 'measured', 'on one core'], cells)}\n\n${sentenceOf(provenance)}`;
}
