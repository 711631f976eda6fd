// Written by `npm run bench`, which measures these figures. docs/capacity.md has the same figures.
import type { MeasuredCapacity } from './measured-capacity.ts';

export const measured: MeasuredCapacity = {
  machine: '2 cores (AMD EPYC), 24 GiB, Node 24.21.0',
  commit: '41684fba',
  date: '2026-11-27',
  loadAverage: 2.6,
  figures: {
    pluginMicros: 32.36,
    proxyMicros: 111.4,
    redisMicrosExact: 33.95,
    redisMicrosLarge: 22.99,
    redisMicrosLeased: 2.121,
    aggregatorMicros: 12.03,
    clickhouseMicros: 9.12,
    kafkaBytes: 660.2,
    clickhouseBytes: 23.86,
    redisBytesIdle: 359.4,
    redisBytesBusy: 1352,
  },
};
