import { requestsByIds } from '../../../shared/clickhouse/queries/requests-by-ids.ts';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import { problemOfUser } from '../entrypoints/api/caller.ts';
import type { CheckedDecision, CheckedDecisions } from './checked-decisions.ts';

export interface FoundDecisions {
  /** The caller's own decisions by id. */
  readonly own: ReadonlyMap<string, CheckedDecision>;
  /** Ids that could not be looked up because the query to ClickHouse failed. */
  readonly unread: ReadonlySet<string>;
  /** The error of that query; null if it succeeded or was not needed. */
  readonly failure: unknown;
}

/** Entrypoints that decide about requests which an application or another proxy responds to. */
const checkEntrypoints = ['check', 'authz', 'ext_authz', 'rls'];

/**
 * Finds the caller's own decisions among `ids`: all for a service, those of its tenant for a tenant, those of its user
 * for a token with a user. Looks them up in this node's cache first, and the others in ClickHouse.
 */
export async function findDecisions(
  ids: readonly string[],
  caller: Identity,
  checked: CheckedDecisions,
  clickhouse: ClickHouseReader,
  nowMs: number,
): Promise<FoundDecisions> {
  const own = new Map<string, CheckedDecision>();
  const uncached: string[] = [];
  for (const id of new Set(ids)) {
    const cached = checked.find(id);
    if (cached === null) uncached.push(id);
    else if (isOwn(cached, caller)) own.set(id, cached);
  }
  if (uncached.length === 0) return { own, unread: new Set(), failure: null };
  try {
    const tenantId = caller.service === null ? (caller.tenantId ?? anonymousTenant) : null;
    const stored = await requestsByIds(clickhouse, uncached, {
      tenantId,
      entrypoints: checkEntrypoints,
      nowMs,
    });
    for (const decision of stored) {
      if (!isOwn(decision, caller)) continue;
      checked.add(decision);
      own.set(decision.id, decision);
    }
    return { own, unread: new Set(), failure: null };
  } catch (failure) {
    return { own, unread: new Set(uncached), failure };
  }
}

function isOwn({ tenantId, userId }: CheckedDecision, caller: Identity): boolean {
  if (caller.service !== null) return true;
  return tenantId === (caller.tenantId ?? anonymousTenant) && problemOfUser(caller, userId) === null;
}
