import { Counter, Histogram } from 'prom-client';
import type { Registry } from '../../shared/runtime/http/ops.ts';

export interface ConsoleMetrics {
  /** By listener (admin, web) and class of status (2xx, …). */
  readonly requests: Counter<'listener' | 'status'>;
  readonly seconds: Histogram<'listener'>;
  /** By method (link, api_key, jwt, operator) and result (accepted, refused, throttled). */
  readonly signIns: Counter<'method' | 'result'>;
  /** By store (redis, clickhouse, kafka): reads a page needed and did not get. */
  readonly failedReads: Counter<'store'>;
}

export function createPortalMetrics(registry: Registry): ConsoleMetrics {
  const registers = [registry];
  return {
    requests: new Counter({
      name: 'tollgate_console_requests_total',
      help: 'Requests the console answered, by listener and class of status.',
      labelNames: ['listener', 'status'],
      registers,
    }),
    seconds: new Histogram({
      name: 'tollgate_console_request_seconds',
      help: 'Time the console took to answer a request, by listener.',
      labelNames: ['listener'],
      buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    }),
    signIns: new Counter({
      name: 'tollgate_console_sign_ins_total',
      help: 'Attempts to sign in to the portal or the operator console, by method and result.',
      labelNames: ['method', 'result'],
      registers,
    }),
    failedReads: new Counter({
      name: 'tollgate_console_failed_reads_total',
      help: 'Reads a page or answer needed and did not get, by store; the page then said so.',
      labelNames: ['store'],
      registers,
    }),
  };
}
