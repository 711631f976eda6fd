/** Topics of one installation. Installations on one cluster have different prefixes; the default is `tollgate.`. */
export interface Topics {
  /** Key tenant_id; CloudEvents: decisions, and events of external producers. */
  readonly usage: string;
  /** Compacted; key tenant_id: `TenantTotals`. */
  readonly totals: string;
  /** Compacted; key tenant_id: `TenantRecord`. */
  readonly tenants: string;
  /** Key tenant_id: `AlertEvent`. */
  readonly alerts: string;
  /** Compacted; the state of each delivery of an alert to a target. */
  readonly deliveries: string;
  /** Compacted; portal links and sessions of the console that ended before their time. */
  readonly sessionEnds: string;
  /** Empty records with the time of the broker: services compare their clocks with it. */
  readonly clock: string;
  /** Records that could not be read or handled, with the reason and their place. */
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
    clock: `${prefix}clock.v1`,
    deadLetters: `${prefix}dead-letters.v1`,
  };
}

/**
 * True where a dead letter may be replayed to the topic: one of the same installation. The topic is in a header of the dead
 * letter, which any client with write access can set.
 */
export function takesReplays(topic: string, deadLetters: string): boolean {
  const topics = topicsWith(deadLetters.replace(/dead-letters\.v1$/, ''));
  const { clock, deadLetters: own, ...others } = topics;
  return own === deadLetters && topic !== clock && Object.values(others).includes(topic);
}
