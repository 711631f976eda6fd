import { requestsByIds } from '../../../shared/clickhouse/queries/requests-by-ids.ts';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import { problemOfUser } from '../entrypoints/api/caller.ts';
import type { CheckedDecision, CheckedDecisions } from './checked-decisions.ts';

export interface FoundDecisions {
  /** The caller's own, by id. */
  readonly own: ReadonlyMap<string, CheckedDecision>;
  /** Ids of which nothing can be said because ClickHouse did not answer, and why. */
  readonly unread: ReadonlySet<string>;
  readonly failure: unknown;
}

/** How Tollgate was asked about requests that it does not answer itself. */
const askedThrough = ['check', 'authz', 'ext_authz', 'rls'];

/**
 * The caller's own of these decisions: a tenant's are its tenant's, of a token with a user that user's, a service's are
 * all. First as this node remembers them, the rest as ClickHouse has them.
 */
export async function findDecisions(
  ids: readonly string[],
  caller: Identity,
  checked: CheckedDecisions,
  clickhouse: ClickHouseReader,
  nowMs: number,
): Promise<FoundDecisions> {
  const own = new Map<string, CheckedDecision>();
  const open: string[] = [];
  for (const id of new Set(ids)) {
    const known = checked.find(id);
    if (known === null) open.push(id);
    else if (isOwn(known, caller)) own.set(id, known);
  }
  if (open.length === 0) return { own, unread: new Set(), failure: null };
  try {
    const tenantId = caller.service === null ? (caller.tenantId ?? anonymousTenant) : null;
    const stored = await requestsByIds(clickhouse, open, { tenantId, entrypoints: askedThrough, nowMs });
    for (const decision of stored) {
      if (!isOwn(decision, caller)) continue;
      checked.add(decision);
      own.set(decision.id, decision);
    }
    return { own, unread: new Set(), failure: null };
  } catch (failure) {
    return { own, unread: new Set(open), failure };
  }
}

function isOwn({ tenantId, userId }: CheckedDecision, caller: Identity): boolean {
  if (caller.service !== null) return true;
  return tenantId === (caller.tenantId ?? anonymousTenant) && problemOfUser(caller, userId) === null;
}
