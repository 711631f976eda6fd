// Written by `npm run bench`, which measures these figures. docs/capacity.md has the same figures.
import type { MeasuredCapacity } from './measured-capacity.ts';

export const measured: MeasuredCapacity = {
  machine: '2 cores (AMD EPYC), 24 GiB, Node 24.21.0',
  commit: '4e54b6b',
  date: '2026-11-21',
  loadAverage: 3.5,
  figures: {
    pluginMicros: 47.8,
    proxyMicros: 126,
    redisMicrosExact: 85.3,
    redisMicrosLarge: 68.6,
    redisMicrosLeased: 2.5,
    aggregatorMicros: 20.5,
    clickhouseMicros: 20.9,
    kafkaBytes: 220,
    clickhouseBytes: 23,
    redisBytesIdle: 358,
    redisBytesBusy: 1349,
  },
};
