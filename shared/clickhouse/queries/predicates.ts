import { refundEventType, requestEventType } from '../../domain/usage-event.ts';

/*
 * SQL conditions over `decision` and `type`, the only ones in use. Each holds for rows of `usage_events` and of
 * `usage_by_minute`, `usage_by_hour` and `usage_by_day`.
 */

/** Checked against the limits and served, also where shadow mode let it pass; events of API servers count as allowed. */
export const passedLimits = `decision IN ('allowed', 'shadow_limited')`;

/**
 * What quotas count. Refunds are excluded: `refund.lua` has already returned their units to the counter in Redis and added
 * them to its baseline, so negative units in the total would return them a second time.
 */
export const countedByQuotas = `${passedLimits} AND type != '${refundEventType}'`;

/** Served, with or without a check: what is billed. `bypassed` requests of service tokens are included. */
export const served = `decision != 'limited'`;

/** Refused by a limit: used nothing and costs nothing. */
export const refused = `decision = 'limited'`;

/** Over a limit and served, since the limit is in shadow mode. */
export const overShadowLimit = `decision = 'shadow_limited'`;

/** Over a limit, whether refused or served in shadow mode. */
export const overLimit = `decision IN ('limited', 'shadow_limited')`;

/** Requests, not events of API servers. */
export const isRequest = `type = '${requestEventType}'`;
