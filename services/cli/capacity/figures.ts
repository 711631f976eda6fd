// Written by `npm run bench`, which measures these figures. docs/capacity.md has the same figures.
import type { MeasuredCapacity } from './measured-capacity.ts';

export const measured: MeasuredCapacity = {
  machine: '2 cores (AMD EPYC), 24 GiB, Node 24.21.0',
  commit: '4e54b6b to 624db150',
  date: '2026-11-21 to 2026-11-27',
  loadAverage: 20,
  figures: {
    pluginMicros: 47.8,
    proxyMicros: 126,
    redisMicrosExact: 48.2,
    redisMicrosLarge: 25.8,
    redisMicrosLeased: 2.5,
    aggregatorMicros: 20.5,
    clickhouseMicros: 20.9,
    kafkaBytes: 606,
    clickhouseBytes: 23,
    redisBytesIdle: 377,
    redisBytesBusy: 1351,
  },
};
