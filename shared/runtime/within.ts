import { TollgateError } from './errors.ts';
import type { ErrorCode } from './errors.ts';

const late = Symbol('late');

/**
 * Returns the outcome of a promise, or throws an error with this code after `timeoutMs`. `work` names the operation in
 * the error message. The operation itself is not cancelled: it may still finish, and its later outcome is ignored.
 */
export async function within<T>(
  promise: Promise<T>,
  timeoutMs: number,
  code: ErrorCode,
  work: string,
): Promise<T> {
  const outcome = await withinOr(promise, timeoutMs, late);
  if (outcome === late) throw new TollgateError(code, `${work} took longer than ${timeoutMs} ms`);
  return outcome;
}

/** Returns the outcome of a promise, or `fallback` after `timeoutMs`. The operation itself is not cancelled. */
export async function withinOr<T, Fallback>(
  promise: Promise<T>,
  timeoutMs: number,
  fallback: Fallback,
): Promise<T | Fallback> {
  const timeout = Promise.withResolvers<Fallback>();
  const timer = setTimeout(timeout.resolve, timeoutMs, fallback);
  try {
    return await Promise.race([promise, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
