/** Topics of one installation. A prefix keeps several apart on one cluster; the product's own is `tollgate.`. */
export interface Topics {
  /** Key tenant_id; CloudEvents: decisions and the API servers' own meter events. */
  readonly usage: string;
  /** Compacted; key tenant_id: `TenantTotals`. */
  readonly totals: string;
  /** Compacted; key tenant_id: `TenantRecord`. */
  readonly tenants: string;
  /** Key tenant_id: `AlertEvent`. */
  readonly alerts: string;
  /** Compacted; the state of each alert on its way to each target. */
  readonly deliveries: string;
  /** Compacted; what ended portal links and sessions of the console before their time. */
  readonly sessionEnds: string;
  /** Empty records that brokers stamp with their time: services compare their clocks with it. */
  readonly clock: string;
  /** What could not be read, with the reason and where it stood. */
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
 * Whether a dead letter may go back to a topic: to those of its own installation only. A letter names where it came from in
 * a header that any writer of its topic may set.
 */
export function takesReplays(topic: string, deadLetters: string): boolean {
  const topics = topicsWith(deadLetters.replace(/dead-letters\.v1$/, ''));
  const { clock, deadLetters: own, ...others } = topics;
  return own === deadLetters && topic !== clock && Object.values(others).includes(topic);
}
