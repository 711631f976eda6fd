import { spanMs } from '../../../shared/domain/time/duration.ts';
import { measured } from '../capacity/figures.ts';
import { busyShare, kafkaDays, kafkaReplicas, sizeOf, spareProcesses } from '../capacity/size.ts';
import type { Demand, Size } from '../capacity/size.ts';
import type { Command, Invocation } from '../command.ts';
import { UsageError, optional, required, table } from '../command.ts';
import { counted } from '../../../shared/domain/text/counted.ts';

/** Computes how many of what an installation needs. It connects to nothing. */
export const sizeCommand: Command = {
  name: 'size',
  synopsis: '--requests RATE --tenants N --retention TIME [--mean RATE]',
  summary: 'Compute how many gateways, Redis servers, partitions, aggregators and disks a load needs.',
  operands: [0, 0],
  flags: {
    requests: { type: 'string', help: 'Requests at the busiest time: 50000/s, 900000/min or 20000000/h.' },
    tenants: { type: 'string', help: 'Tenants that are active within the longest window of a limit.' },
    retention: { type: 'string', help: 'How long events are kept: 90d.' },
    mean: { type: 'string', help: 'Mean requests, which disks hold; default: those of --requests.' },
  },
  example: 'size --requests 50000/s --tenants 100000 --retention 90d',
  run(invocation) {
    const demand = demandOf(invocation);
    const size = sizeOf(demand, measured.figures);
    const headroom = { busyShare, spareProcesses, kafkaReplicas, kafkaDays };
    return Promise.resolve({
      data: { demand, size, headroom, measured },
      text: textOf(demand, size),
    });
  },
};

function demandOf(invocation: Invocation): Demand {
  const peakPerSecond = rateOf('requests', required(invocation, 'requests'));
  const mean = optional(invocation, 'mean');
  const meanPerSecond = mean === undefined ? peakPerSecond : rateOf('mean', mean);
  if (meanPerSecond > peakPerSecond)
    throw new UsageError('--mean is larger than --requests, which is the rate at the busiest time.');
  const tenants = required(invocation, 'tenants');
  if (!/^[1-9]\d{0,9}$/.test(tenants))
    throw new UsageError(`--tenants is a whole number from 1 to 9999999999, not “${tenants}”.`);
  const retention = required(invocation, 'retention');
  const retentionMs = spanMs(retention);
  if (retentionMs === null || retentionMs < 1)
    throw new UsageError(`--retention is a time such as 90d, not “${retention}”.`);
  return { peakPerSecond, meanPerSecond, tenants: Number(tenants), retentionDays: retentionMs / 86_400_000 };
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3_600, d: 86_400 };

function rateOf(flag: string, text: string): number {
  const [, digits, unit = 's'] = /^([1-9]\d{0,11})(?:\/(s|min|h|d))?$/.exec(text) ?? [];
  if (digits === undefined)
    throw new UsageError(
      `--${flag} is a whole number of requests a second, minute, hour or day (50000/s, 900000/min, 20000000/h, 1000000000/d), not “${text}”.`,
    );
  return Number(digits) / (unitSeconds[unit] ?? 1);
}

function textOf(demand: Demand, size: Size): string {
  const { figures, machine, commit, date, loadAverage } = measured;
  const micros = (value: number): string => `${value.toFixed(1)} µs of CPU`;
  const exact = Math.max(figures.redisMicrosExact, figures.redisMicrosLarge);
  const rows = [
    [
      'gateways, one core each',
      size.gateways,
      `${micros(figures.proxyMicros)} a request; ${spareProcesses} spare`,
    ],
    ['Redis masters, one core each', size.redisMasters, `${micros(exact)} a check in Redis`],
    ['  if busy tenants are leased', size.redisMastersLeased, `${micros(figures.redisMicrosLeased)} a check`],
    [
      'Redis memory',
      bytes(size.redisBytes),
      `${figures.redisBytesBusy.toFixed(0)} bytes a tenant, without replicas`,
    ],
    ['Kafka partitions', size.kafkaPartitions, 'at least 12, and 4 for each aggregator'],
    [
      'Kafka disk',
      bytes(size.kafkaBytes),
      `${figures.kafkaBytes.toFixed(0)} bytes an event, ${counted(kafkaReplicas, 'replica')}, ${counted(kafkaDays, 'day')}`,
    ],
    [
      'aggregators, one core each',
      size.aggregators,
      `${micros(figures.aggregatorMicros)} an event; ${spareProcesses} spare`,
    ],
    [
      'ClickHouse cores for storing',
      size.clickhouseCores,
      `${micros(figures.clickhouseMicros)} an event, without queries`,
    ],
    [
      'ClickHouse disk',
      bytes(size.clickhouseBytes),
      `${figures.clickhouseBytes.toFixed(1)} bytes an event, one replica`,
    ],
  ] as const;
  const rate = (perSecond: number): string => `${Math.ceil(perSecond).toLocaleString('en')}/s`;
  return [
    `For ${rate(demand.peakPerSecond)} at the busiest time, ${rate(demand.meanPerSecond)} in the mean, ` +
      `${counted(demand.tenants, 'tenant')}, events kept for ${counted(Number(demand.retentionDays.toFixed(2)), 'day')}:`,
    '',
    table(['part', 'needed', 'from'], rows),
    '',
    `Headroom: a core is at most ${busyShare * 100} % busy at the busiest time; memory of Redis and disk of ClickHouse are 1.5 times the data.`,
    `Measured at commit ${commit} on ${date}: ${machine}; load average ${loadAverage}. Measure on your machines before you buy:`,
    'npm run bench writes these figures. docs/capacity.md has the formulae.',
  ].join('\n');
}

const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

function bytes(count: number): string {
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** power;
  return `${value >= 100 ? Math.ceil(value) : Number(value.toFixed(1))} ${units[power] ?? ''}`;
}
