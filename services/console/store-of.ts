import { TollgateError } from '../../shared/runtime/errors.ts';

/** Which store an error speaks of, or null. */
export function storeOf(error: unknown): 'redis' | 'kafka' | 'clickhouse' | null {
  if (!(error instanceof TollgateError)) return null;
  if (error.code.startsWith('REDIS')) return 'redis';
  if (error.code.startsWith('KAFKA')) return 'kafka';
  return error.code.startsWith('CLICKHOUSE') ? 'clickhouse' : null;
}
