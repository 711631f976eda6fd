import type { IncomingHttpHeaders } from 'node:http';
import type { Policy } from '../../../shared/domain/policy.ts';
import { createCredentials } from '../../../shared/identity/credentials.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { createDecide } from './decide.ts';
import type { Question } from './decide.ts';
import { createDecisionIds } from './decision-id.ts';
import { createEventSampling } from '../metering/event-sampling.ts';
import { createBoundedLog, logHit } from '../metering/bounded-log.ts';
import { createInvalidRequests } from './invalid-request-limit.ts';
import { createIdentifier } from './identify.ts';
import type { Identified, Identifier, TenantRecords } from './identify.ts';
import { createMeter, createRefundMeter } from '../metering/meter.ts';
import type { EventLog, Meter } from '../metering/meter.ts';
import { createGatewayMetrics } from '../metrics.ts';
import type { GatewayMetrics } from '../metrics.ts';
import { createCheckedDecisions } from '../outcomes/checked-decisions.ts';
import type { CheckedDecisions } from '../outcomes/checked-decisions.ts';
import { createRecentDecisions } from './recent-decisions.ts';
import type { RecentDecisions } from './recent-decisions.ts';
import { createRefusedCredentials } from './bad-credential-limit.ts';
import type { Verdict } from './verdict.ts';

export interface EnforcerOptions {
  readonly policy: () => Policy;
  readonly limiter: Pick<Limiter, 'checkWith' | 'refund'>;
  readonly concurrency: Pick<Concurrency, 'acquire'>;
  readonly records: TenantRecords;
  readonly events: EventLog;
  readonly node: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
}

/** The one core behind every entrypoint: who is it, may it pass, write down that it did. */
export interface Enforcer {
  policy(): Policy;
  /** A refused credential is charged to its address. */
  identify(headers: IncomingHttpHeaders, remoteAddress: string): Identified | Promise<Identified>;
  /** Refuses a caller without credentials where they are needed; charged alike. */
  refuse(ip: string, detail: string): Identified | Promise<Identified>;
  addressOf(headers: IncomingHttpHeaders, remoteAddress: string): string;
  /** Whether a peer is one of the policy's trusted proxies. */
  trusts(remoteAddress: string): boolean;
  /** Counts and logs what it decides, unless it only peeks. */
  decide(question: Question): Promise<Verdict>;
  /** The same for an entrypoint that every request comes through. `settled` may be called at once, and must not throw. */
  decideWith(question: Question, settled: (verdict: Verdict) => void): void;
  /** Counts and logs a decision that was only looked at and yet is the answer to a request. */
  count(verdict: Verdict): void;
  /** Undoes a decision whose event was not written. Never rejects. */
  undo(verdict: Verdict): Promise<void>;
  /** Returns units that events were written of, and writes an event of those that were really returned. Never rejects. */
  refund(verdict: Verdict): Promise<void>;
  readonly meter: Meter;
  readonly recent: RecentDecisions;
  readonly checked: CheckedDecisions;
  readonly node: string;
  readonly records: TenantRecords;
  readonly metrics: GatewayMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Nothing is fetched any more for the verification of tokens. */
  close(): void;
}

export function createEnforcer(options: EnforcerOptions): Enforcer {
  const { policy, limiter, concurrency, records, events, node, clock, logger, registry } = options;
  const metrics = createGatewayMetrics(registry);
  const refused = createRefusedCredentials({ policy, limiter, clock, metrics });
  const { admit } = refused;
  const credentials = createCredentials({
    policy,
    directory: records,
    clock,
    logger,
    registry,
    admission: admit,
  });
  const decide = createDecide({
    limiter,
    concurrency,
    records,
    chargeInvalid: createInvalidRequests({ policy, limiter, clock }),
    clock,
    nextId: createDecisionIds(clock),
  });
  const meterRefund = createRefundMeter(events, node, metrics, logger);
  const recent = createRecentDecisions();
  const hits = createBoundedLog(logger, clock, () => metrics.logsSuppressed.inc());
  let identifier = identifierFor(policy());
  return {
    policy,
    identify,
    refuse: (ip, detail) => refused.refuse(ip, detail),
    addressOf: (headers, remote) => currentIdentifier().addressOf(headers, remote),
    trusts: (remote) => currentIdentifier().trusts(remote),
    decide: (question) => new Promise((resolve) => decideWith(question, resolve)),
    decideWith,
    count,
    undo: async (verdict) => {
      await giveBack(verdict, false);
    },
    refund: async (verdict) => {
      const units = await giveBack(verdict, true);
      if (units > 0) await meterRefund(verdict, units);
    },
    meter: createMeter(events, node, metrics, logger, createEventSampling(clock)),
    recent,
    checked: createCheckedDecisions(),
    node,
    records,
    metrics,
    clock,
    logger,
    close: () => credentials.close(),
  };

  function identify(headers: IncomingHttpHeaders, remote: string): Identified | Promise<Identified> {
    const found = currentIdentifier().identify(headers, remote);
    if (found instanceof Promise) return found.then((read) => refused.charge(read));
    return found.refusal === null ? found : refused.charge(found);
  }

  function decideWith(question: Question, settled: (verdict: Verdict) => void): void {
    decide(policy(), question, (verdict) => {
      // Work on the api listener is no request to the protected API: it has a metric of its own.
      if (!question.peek && question.applicable === undefined) count(verdict);
      settled(verdict);
    });
  }

  function count(verdict: Verdict): void {
    metrics.decided(verdict);
    if (verdict.decision.limitedBy.length === 0) return;
    logHit(hits, verdict);
    // A flood of bad credentials or requests would drive out what tenants may still ask about.
    if (verdict.credentials === null && verdict.address === null) recent.remember(verdict);
  }

  function giveBack({ identity, limits, units }: Verdict, metered: boolean): Promise<number> {
    const { tenantId, userId, ip } = identity;
    const timeZone = (tenantId === null ? null : records.get(tenantId))?.time_zone;
    const request = { tenantId, userId, ip, limits, cost: units, peek: false };
    return limiter.refund(timeZone === undefined ? request : { ...request, timeZone }, metered);
  }

  function currentIdentifier(): Identifier {
    const now = policy();
    if (identifier.policy !== now) identifier = identifierFor(now);
    return identifier.made;
  }

  function identifierFor(now: Policy): { readonly policy: Policy; readonly made: Identifier } {
    return { policy: now, made: createIdentifier(now, credentials) };
  }
}
