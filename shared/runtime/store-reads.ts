import { Counter } from 'prom-client';
import { TollgateError } from './errors.ts';
import type { Registry } from './http/ops.ts';
import type { Logger } from './logger.ts';

export type Store = 'redis' | 'kafka' | 'clickhouse';

/** Optional reads for a response: a failed one is null, so that the response states which part is missing and never shows a zero. */
export interface StoreReads {
  /** The value, or null if the store did not respond, which is counted and logged. Any other error is thrown. */
  orNull<Value>(read: Promise<Value>): Promise<Value | null>;
  /** Counts a failed read. */
  countFailure(store: Store): void;
}

export function createStoreReads({
  registry,
  logger,
}: {
  readonly registry: Registry;
  readonly logger: Logger;
}): StoreReads {
  const failures = new Counter({
    name: 'tollgate_store_read_failures_total',
    help: 'Reads that an answer or a page needed and that failed, by store; the answer said so.',
    labelNames: ['store'],
    registers: [registry],
  });
  const countFailure = (store: Store): void => failures.inc({ store });
  return {
    countFailure,
    async orNull(read) {
      try {
        return await read;
      } catch (error) {
        const store = storeOf(error);
        if (store === null) throw error;
        countFailure(store);
        logger.warn({ err: error }, 'a part of an answer cannot be read');
        return null;
      }
    },
  };
}

/** The store whose failure the error reports; null for any other error. */
export function storeOf(error: unknown): Store | null {
  if (!(error instanceof TollgateError)) return null;
  if (error.code.startsWith('REDIS')) return 'redis';
  if (error.code.startsWith('KAFKA')) return 'kafka';
  return error.code.startsWith('CLICKHOUSE') ? 'clickhouse' : null;
}
