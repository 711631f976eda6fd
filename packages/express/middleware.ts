import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Verdict } from '../../services/gateway/enforcer/verdict.ts';
import {
  createMiddleware,
  guardedRequestOf,
} from '../../services/gateway/entrypoints/middleware/middleware.ts';
import type { StatedReserve } from '../../services/gateway/reservations/stated-usage.ts';
import type { Settlement } from '../../services/gateway/entrypoints/guarded-request.ts';
import { openInProcess } from '../../services/gateway/in-process.ts';
import type { InProcessOptions } from '../../services/gateway/in-process.ts';

export type { Settlement, StatedReserve };
export type { KafkaServers } from '../../services/gateway/in-process.ts';

export interface TollgateOptions extends InProcessOptions {
  /** Returns the units that a request costs, a whole number from 1; null: the cost of its route in the policy. */
  readonly cost?: (request: IncomingMessage) => number | null;
  /**
   * Returns the estimated usage of a request, which is reserved until `settle` is called for it; null: nothing. The body
   * of the request is not read yet.
   */
  readonly reserve?: (request: IncomingMessage) => StatedReserve | null;
  /** Returns true for a request that is served without a decision, for example a health check. */
  readonly exempt?: (request: IncomingMessage) => boolean;
}

export interface Tollgate {
  (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void): void;
  /** The metrics of Tollgate, in the text format of Prometheus. */
  readonly metrics: () => Promise<string>;
  /** Sends the remaining events to Kafka and closes the connections. Call it after `server.close()` has completed. */
  readonly close: () => Promise<void>;
}

/**
 * Opens Tollgate and returns a middleware for Express 4 and 5, Connect, and others with the parameters
 * `(request, response, next)`. Use it before all other middleware: `app.use(await tollgate({ … }))`.
 */
export async function tollgate(options: TollgateOptions): Promise<Tollgate> {
  const { cost, reserve, exempt, onFailure } = options;
  const { enforcer, registry, close } = await openInProcess({ env: process.env, ...options });
  const middleware = createMiddleware({
    enforcer,
    redisOnly: onFailure === 'closed',
    ...(cost === undefined ? {} : { costOf: cost }),
    ...(reserve === undefined ? {} : { reserveOf: reserve }),
    ...(exempt === undefined ? {} : { isExempt: exempt }),
  });
  return Object.assign(middleware, { metrics: () => registry.metrics(), close });
}

/** What Tollgate decided about a request; null before the decision, and for an exempt request. */
export function verdictOf(request: IncomingMessage): Verdict | null {
  return guardedRequestOf(request)?.verdict ?? null;
}

/**
 * Settles what a request has reserved, with the usage that the application measured. Before the response, the usage is
 * settled with the response. Throws a TypeError if the request reserved nothing, or if a name or value is wrong.
 */
export function settle(request: IncomingMessage, settlement: Settlement): Promise<void> {
  const guarded = guardedRequestOf(request);
  if (guarded === null) throw new TypeError('Tollgate did not decide about this request.');
  return guarded.settle(settlement);
}
