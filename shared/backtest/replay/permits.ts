import type { Limit } from '../../domain/limit.ts';
import type { Caller, Subjects } from '../../redis/decision/subjects.ts';
import { subjectKind } from '../../redis/decision/windows.ts';

export interface PermitsChecked {
  readonly passed: boolean;
  /** Names of the limits without a free permit, limits in shadow mode included. */
  readonly limitedBy: readonly string[];
  /** Releases the permits; null if none was acquired. */
  readonly release: (() => void) | null;
}

const none: PermitsChecked = { passed: true, limitedBy: [], release: null };

/** Requests in progress under concurrent limits, with one count for all gateways. */
export class Permits {
  readonly #inProgress = new Map<string, number>();

  /** Acquires a permit of each limit, or of none. */
  acquire(limits: readonly Limit[], caller: Caller, subjects: Subjects): PermitsChecked {
    if (limits.length === 0) return none;
    const keys: string[] = [];
    const limitedBy: string[] = [];
    let passed = true;
    for (const limit of limits) {
      const key = keyOf(limit, caller, subjects);
      if (key === null) continue;
      if ((this.#inProgress.get(key) ?? 0) < Math.floor(limit.limit)) {
        keys.push(key);
        continue;
      }
      limitedBy.push(limit.name);
      if (limit.mode === 'enforce') passed = false;
    }
    if (!passed) return { passed, limitedBy, release: null };
    for (const key of keys) this.#inProgress.set(key, (this.#inProgress.get(key) ?? 0) + 1);
    return { passed, limitedBy, release: () => this.#release(keys) };
  }

  #release(keys: readonly string[]): void {
    for (const key of keys) {
      const count = (this.#inProgress.get(key) ?? 1) - 1;
      if (count > 0) this.#inProgress.set(key, count);
      else this.#inProgress.delete(key);
    }
  }
}

/** Null for a share of a tenant, if the caller has no tenant: then only the shares of addresses apply. */
function keyOf(limit: Limit, caller: Caller, subjects: Subjects): string | null {
  if (limit.perNode === true && limit.per[0] === 'tenant' && caller.tenantId === null) return null;
  const kind = subjectKind(limit, caller.tenantId !== null, caller.userId !== null);
  return `${limit.name} ${limit.route ?? ''} ${subjects.of(kind, caller).key}`;
}
