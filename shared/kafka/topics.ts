/**
 * Topics of one installation. Installations that share a cluster have different prefixes; the default prefix is
 * `tollgate.`.
 */
export interface Topics {
  /** Key: tenant_id. Values: CloudEvents, which are decisions of gateways and events of external producers. */
  readonly usage: string;
  /** Compacted. Key: tenant_id. Values: `TenantTotals`. */
  readonly totals: string;
  /** Compacted. Key: tenant_id. Values: `TenantRecord`. */
  readonly tenants: string;
  /** Key: tenant_id. Values: `AlertEvent`. */
  readonly alerts: string;
  /** Compacted. Values: the state of each delivery of an alert to a target. */
  readonly deliveries: string;
  /** Compacted. Values: portal links and console sessions that were ended before their expiry. */
  readonly sessionEnds: string;
  /** Compacted. Key: id of a session or portal link. Values: `SessionEntry`, for the lists of sessions. */
  readonly sessions: string;
  /** Key: tenant_id, or none. Values: `AuditEntry` of actions that change no tenant record. */
  readonly audit: string;
  /** Empty records whose timestamp the broker sets. Services compare their clocks with it. */
  readonly clock: string;
  /** Dead letters: records that could not be read or handled, with the reason and their original place. */
  readonly deadLetters: string;
}

export function topicsWith(prefix: string): Topics {
  return {
    usage: `${prefix}usage.v1`,
    totals: `${prefix}totals.v1`,
    tenants: `${prefix}tenants.v1`,
    alerts: `${prefix}alerts.v1`,
    deliveries: `${prefix}deliveries.v1`,
    sessionEnds: `${prefix}session-ends.v1`,
    sessions: `${prefix}sessions.v1`,
    audit: `${prefix}audit.v1`,
    clock: `${prefix}clock.v1`,
    deadLetters: `${prefix}dead-letters.v1`,
  };
}

/**
 * True if a dead letter may be replayed to the topic: the topic must belong to the same installation. The check is
 * needed because any client with write access can set the header that names the topic.
 */
export function takesReplays(topic: string, deadLetters: string): boolean {
  const topics = topicsWith(deadLetters.replace(/dead-letters\.v1$/, ''));
  const { clock, deadLetters: own, ...others } = topics;
  return own === deadLetters && topic !== clock && Object.values(others).includes(topic);
}
