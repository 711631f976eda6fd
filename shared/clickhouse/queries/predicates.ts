import { refundEventType, requestEventType } from '../../domain/usage-event.ts';

/*
 * All SQL conditions on `decision` and `type` that the project uses. Each can be applied to rows of `usage_events`,
 * `usage_by_minute`, `usage_by_hour` and `usage_by_day`.
 */

/**
 * Events that were checked against the limits and served. This includes requests over a limit in shadow mode, and events of API
 * servers, which count as allowed.
 */
export const passedLimits = `decision IN ('allowed', 'shadow_limited')`;

/**
 * Events whose units are counted by quotas. Refunds are excluded: `refund.lua` has already returned their units to the counter in Redis
 * and added them to its baseline, so negative units in the total would return them a second time.
 */
export const countedByQuotas = `${passedLimits} AND type != '${refundEventType}'`;

/**
 * Events that were served, with or without a check: these events are billed. `bypassed` requests of service tokens are included.
 */
export const served = `decision != 'limited'`;

/** Requests that a limit refused. They use no units and cost nothing. */
export const refused = `decision = 'limited'`;

/** Requests over a limit that were served, because the limit is in shadow mode. */
export const overShadowLimit = `decision = 'shadow_limited'`;

/** Requests over a limit, refused or served in shadow mode. */
export const overLimit = `decision IN ('limited', 'shadow_limited')`;

/** Calls whose usage is measured: calls of a model, and calls with amounts of quantities other than requests. */
export const measured = `(model != '' OR notEmpty(quantities))`;

/** Events of requests. Events of API servers are excluded. */
export const isRequest = `type = '${requestEventType}'`;
