import { refundEventType } from '../../domain/usage-event.ts';

/**
 * SQL that is true for rows whose units a limit counted: of what passed under a limit, and of what API servers publish.
 * Refunds are left out, since the counters in Redis know of them by themselves: see `refund.lua`.
 */
export const charged = `decision IN ('allowed', 'shadow_limited') AND type != '${refundEventType}'`;
