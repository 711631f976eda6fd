import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { figuresBlock } from '../../bench/report/write-capacity.ts';
import { withBlock } from '../../bench/report/write-section.ts';
import { measured } from '../../../services/cli/capacity/figures.ts';
import type { CapacityFigures } from '../../../services/cli/capacity/measured-capacity.ts';
import { sizeOf } from '../../../services/cli/capacity/size.ts';
import { runCli } from '../../../services/cli/cli.ts';

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const texts = { out: '', err: '' };
  const unused = (): never => {
    throw new Error('the command connects to nothing');
  };
  const code = await runCli({
    ...{ args: ['size', ...args], actor: 'kim', nowMs: 0, version: '0' },
    ...{ installation: unused, kafka: unused, clickhouse: unused },
    out: (text) => void (texts.out += text),
    err: (text) => void (texts.err += text),
  });
  return { code, ...texts };
}

const valid = ['--requests', '50000/s', '--tenants', '100000', '--retention', '90d'];

const figures: CapacityFigures = {
  ...{ pluginMicros: 40, proxyMicros: 120, redisMicrosExact: 48, redisMicrosLarge: 30, redisMicrosLeased: 3 },
  ...{ aggregatorMicros: 12, clickhouseMicros: 18, kafkaBytes: 200, clickhouseBytes: 20 },
  ...{ redisBytesIdle: 350, redisBytesBusy: 1_000 },
};

test('the page of capacity and the command have the same figures', () => {
  const page = readFileSync('docs/capacity.md', 'utf8');
  expect(page).toBe(withBlock(page, 'figures', figuresBlock(measured)));
  for (const value of Object.values(measured.figures)) expect(value).toBeGreaterThan(0);
});

test('sizes follow the formulae of the page', () => {
  const demand = { peakPerSecond: 50_000, meanPerSecond: 20_000, tenants: 100_000, retentionDays: 90 };
  expect(sizeOf(demand, figures)).toEqual({
    gateways: 10 + 1,
    redisMasters: 4,
    redisMastersLeased: 1,
    redisBytes: 150_000_000,
    kafkaPartitions: 12,
    kafkaBytes: 20_000 * 86_400 * 7 * 200 * 3,
    aggregators: 1 + 1,
    clickhouseCores: 2,
    clickhouseBytes: 20_000 * 86_400 * 90 * 20 * 1.5,
  });
});

test('a larger load never needs less of anything', () => {
  const demandArb = fc.record({
    peakPerSecond: fc.integer({ min: 1, max: 1e7 }),
    meanPerSecond: fc.integer({ min: 1, max: 1e6 }),
    tenants: fc.integer({ min: 1, max: 1e9 }),
    retentionDays: fc.integer({ min: 1, max: 3_650 }),
  });
  fc.assert(
    fc.property(demandArb, fc.double({ min: 1, max: 10, noNaN: true }), (demand, factor) => {
      const larger = {
        peakPerSecond: demand.peakPerSecond * factor,
        meanPerSecond: demand.meanPerSecond * factor,
        tenants: Math.ceil(demand.tenants * factor),
        retentionDays: demand.retentionDays * factor,
      };
      const [small, large] = [sizeOf(demand, figures), sizeOf(larger, figures)];
      for (const key of Object.keys(small) as (keyof typeof small)[]) {
        expect(small[key]).toBeGreaterThan(0);
        expect(large[key]).toBeGreaterThanOrEqual(small[key]);
      }
    }),
  );
});

describe('tollgate size', () => {
  test('prints how many of what, the figures that they rest on, and the headroom', async () => {
    const { code, out } = await run(...valid);
    expect(code).toBe(0);
    for (const part of [
      'gateways',
      'Redis masters',
      'Kafka partitions',
      'Kafka disk',
      'aggregators',
      'ClickHouse disk',
    ])
      expect(out).toContain(part);
    expect(out).toContain(`commit ${measured.commit} on ${measured.date}: ${measured.machine}`);
    expect(out).toContain('at most 60 % busy');
  });

  test('prints the same numbers as JSON', async () => {
    const { out } = await run(...valid, '--mean', '72000000/h', '--json');
    const demand = { peakPerSecond: 50_000, meanPerSecond: 20_000, tenants: 100_000, retentionDays: 90 };
    expect(JSON.parse(out)).toMatchObject({ demand, size: sizeOf(demand, measured.figures), measured });
  });

  test.each([
    [['--requests', '50,000/s'], '--requests is a whole number'],
    [['--requests', '0'], '--requests is a whole number'],
    [['--requests', '5/week'], '--requests is a whole number'],
    [['--tenants', '1e5'], '--tenants is a whole number'],
    [['--tenants', '0'], '--tenants is a whole number'],
    [['--retention', '90'], '--retention is a time such as 90d'],
    [['--retention', ''], '--retention is missing'],
    [['--mean', '60000/s'], '--mean is larger than --requests'],
  ])('%j is refused with the help of the command', async (changed, reason) => {
    const { code, err } = await run(...valid, ...changed);
    expect(code).toBe(2);
    expect(err).toContain(reason);
    expect(err).toContain('Usage: tollgate size');
  });
});
