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
  /** By limit and by the key of its subject. */
  readonly #inProgress = new Map<Limit, Map<string, number>>();

  /** Acquires a permit of each limit, or of none. */
  acquire(limits: readonly Limit[], caller: Caller, subjects: Subjects): PermitsChecked {
    if (limits.length === 0) return none;
    const acquired: [counts: Map<string, number>, key: string][] = [];
    const limitedBy: string[] = [];
    let passed = true;
    for (const limit of limits) {
      const key = keyOf(limit, caller, subjects);
      if (key === null) continue;
      const counts = this.#countsOf(limit);
      if ((counts.get(key) ?? 0) < Math.floor(limit.limit)) {
        acquired.push([counts, key]);
        continue;
      }
      limitedBy.push(limit.name);
      if (limit.mode === 'enforce') passed = false;
    }
    if (!passed) return { passed, limitedBy, release: null };
    for (const [counts, key] of acquired) counts.set(key, (counts.get(key) ?? 0) + 1);
    return { passed, limitedBy, release: () => release(acquired) };
  }

  #countsOf(limit: Limit): Map<string, number> {
    let counts = this.#inProgress.get(limit);
    if (counts === undefined) this.#inProgress.set(limit, (counts = new Map<string, number>()));
    return counts;
  }
}

/** Null for a share of a tenant, if the caller has no tenant: then only the shares of addresses apply. */
function keyOf(limit: Limit, caller: Caller, subjects: Subjects): string | null {
  if (limit.perNode === true && limit.per[0] === 'tenant' && caller.tenantId === null) return null;
  const kind = subjectKind(limit, caller.tenantId !== null, caller.userId !== null);
  return subjects.of(kind, caller).key;
}

function release(acquired: readonly (readonly [counts: Map<string, number>, key: string])[]): void {
  for (const [counts, key] of acquired) {
    const count = (counts.get(key) ?? 1) - 1;
    if (count > 0) counts.set(key, count);
    else counts.delete(key);
  }
}
