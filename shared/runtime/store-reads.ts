import { Counter } from 'prom-client';
import { TollgateError } from './errors.ts';
import type { Registry } from './http/ops.ts';
import type { Logger } from './logger.ts';
import { startAtZero } from './zero-counters.ts';

export type Store = 'redis' | 'kafka' | 'clickhouse';

/**
 * Reads of data that a response can omit. If such a read fails, the response states which part is missing, and never
 * shows zero for that part.
 */
export interface StoreReads {
  /**
   * Returns the value, or null when the store did not respond. Counts and logs that failure. Throws any other error.
   */
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
  const failures = startAtZero(
    new Counter({
      name: 'tollgate_store_read_failures_total',
      help: 'Reads that an answer or a page needed and that failed, by store; the answer said so.',
      labelNames: ['store'],
      registers: [registry],
    }),
    { store: ['redis', 'kafka', 'clickhouse'] },
  );
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
