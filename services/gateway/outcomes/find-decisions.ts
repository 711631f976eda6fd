import { requestsByIds } from '../../../shared/clickhouse/queries/requests-by-ids.ts';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import type { Identity } from '../../../shared/domain/identity.ts';
import { anonymousTenant } from '../../../shared/domain/usage-event.ts';
import { problemOfUser } from '../entrypoints/api/caller.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import type { CheckedDecision } from './checked-decisions.ts';
import { storedCharge } from './returnable-charge.ts';

export interface FoundDecisions {
  /** The caller's own decisions by id. */
  readonly own: ReadonlyMap<string, CheckedDecision>;
  /** Ids of decisions that could not be searched because the query to ClickHouse failed. */
  readonly unread: ReadonlySet<string>;
  /** The error of the failed query; null if the query succeeded or was not needed. */
  readonly failure: unknown;
}

/** Entrypoints whose requests are served by an application or by another proxy. */
const checkEntrypoints = ['check', 'authz', 'ext_authz', 'rls'];

/**
 * Finds the caller's own decisions among `ids`. A service owns all decisions, a tenant those of the tenant, and a token
 * with a user those of this user. The cache of this node is searched first, and ClickHouse for the remaining ids.
 */
export async function findDecisions(
  ids: readonly string[],
  caller: Identity,
  { policy, records, checked, clock }: Pick<Enforcer, 'policy' | 'records' | 'checked' | 'clock'>,
  clickhouse: ClickHouseReader,
): Promise<FoundDecisions> {
  const nowMs = clock.now();
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
    for (const { tenantId: owner, userId, id, timeMs, ...fields } of stored) {
      const charge = storedCharge({ ...fields, tenantId: owner, userId, timeMs }, policy(), records, nowMs);
      const decision = { id, tenantId: owner, userId, timeMs, charge };
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
