import type { IncomingHttpHeaders } from 'node:http';
import type { Policy } from '../../../shared/domain/policy.ts';
import { calendarOf } from '../../../shared/domain/quota.ts';
import { createCredentials } from '../../../shared/identity/credentials.ts';
import type { Credentials } from '../../../shared/identity/credentials.ts';
import type { Concurrency } from '../../../shared/redis/leases/concurrency.ts';
import type { CheckRequest } from '../../../shared/redis/decision/check.ts';
import type { Limiter } from '../../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../../shared/runtime/time/clock.ts';
import type { Tracing } from '../../../shared/runtime/tracing/tracing.ts';
import type { Logger } from '../../../shared/runtime/logger.ts';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { createBoundedLog, logLimitHit } from '../metering/bounded-log.ts';
import type { BoundedLog } from '../metering/bounded-log.ts';
import type { SettledUsage } from '../metering/call-events.ts';
import { describeTrace } from '../metering/describe-trace.ts';
import { EventSampling } from '../metering/event-sampling.ts';
import { Meter } from '../metering/meter.ts';
import type { EventLog, MeteredResponse } from '../metering/meter.ts';
import { RequestTrace } from '../metering/request-trace.ts';
import { createGatewayMetrics } from '../metrics.ts';
import type { GatewayMetrics } from '../metrics.ts';
import { createCheckedDecisions } from '../outcomes/checked-decisions.ts';
import type { CheckedDecisions } from '../outcomes/checked-decisions.ts';
import { returnableCharge } from '../outcomes/returnable-charge.ts';
import type { ReturnableCharge } from '../outcomes/returnable-charge.ts';
import { CallReservations } from '../reservations/call-reservations.ts';
import { BadCredentialLimit } from './bad-credential-limit.ts';
import { decide } from './decide.ts';
import { createDecisionIds } from './decision-id.ts';
import type { DecisionDependencies, DecisionRequest } from './decision-inputs.ts';
import { Identifier } from './identify.ts';
import type { Identified, TenantRecords } from './identify.ts';
import { InvalidRequestLimit } from './invalid-request-limit.ts';
import { meteredRoute } from '../reservations/metered-route.ts';
import type { MeteredRoute } from '../reservations/metered-route.ts';
import type { RawRequest } from './read-request.ts';
import { RecentDecisions } from './recent-decisions.ts';
import type { Verdict } from './verdict.ts';

export interface EnforcerOptions {
  readonly policy: () => Policy;
  readonly limiter: Pick<
    Limiter,
    'checkWith' | 'refund' | 'giveBack' | 'recordUsage' | 'extend' | 'settle' | 'cancel' | 'findReservation'
  >;
  readonly concurrency: Pick<Concurrency, 'acquire'>;
  readonly records: TenantRecords;
  readonly events: EventLog;
  readonly node: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
}

/** The units of a decision, and what they were charged to. */
type Charge = Pick<ReturnableCharge, 'identity' | 'limits' | 'units' | 'attributes'>;

/**
 * The component that decides about requests; every entrypoint uses it. An entrypoint calls, in this order: `identify`
 * (who is the caller), `decideWith` or `decide` (may the request pass), and `meter` (write the usage event) before it
 * sends the response.
 *
 * The path of a decision to Redis: `decideWith` → `decide` (decide.ts, the rules) → `Limiter.checkWith` → Redis.
 */
export class Enforcer {
  /** The policy in force. */
  readonly policy: () => Policy;
  readonly records: TenantRecords;
  readonly node: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: GatewayMetrics;
  readonly recent = new RecentDecisions();
  readonly checked: CheckedDecisions = createCheckedDecisions();
  /** Changes the reservations of calls after their decision. */
  readonly reservations: CallReservations;
  readonly #limiter: Pick<Limiter, 'refund' | 'giveBack' | 'recordUsage' | 'cancel'>;
  readonly #badCredentials: BadCredentialLimit;
  readonly #credentials: Credentials;
  readonly #dependencies: DecisionDependencies;
  readonly #meter: Meter;
  readonly #limitHits: BoundedLog;
  readonly #tracing: Tracing | null;
  #identifier: Identifier;

  constructor(options: EnforcerOptions) {
    const { policy, limiter, concurrency, records, events, node, clock, logger, registry } = options;
    const metrics = createGatewayMetrics(registry);
    const badCredentials = new BadCredentialLimit({ policy, limiter, clock, metrics });
    this.policy = policy;
    this.records = records;
    this.node = node;
    this.clock = clock;
    this.logger = logger;
    this.metrics = metrics;
    this.#limiter = limiter;
    this.#badCredentials = badCredentials;
    this.#credentials = createCredentials({
      policy,
      directory: records,
      clock,
      logger,
      registry,
      admission: (address, claims) => badCredentials.admit(address, claims),
    });
    this.#dependencies = {
      limiter,
      concurrency,
      records,
      invalidRequests: new InvalidRequestLimit({ policy, limiter, clock }),
      clock,
      nextId: createDecisionIds(clock),
      node,
    };
    this.#meter = new Meter({ events, node, metrics, logger, sampling: new EventSampling(clock) });
    this.reservations = new CallReservations({ limiter, meter: this.#meter, clock });
    this.#tracing = options.tracing ?? null;
    this.#limitHits = createBoundedLog(logger, clock, () => metrics.logsSuppressed.inc());
    this.#identifier = new Identifier(policy(), this.#credentials);
  }

  /** Identifies the caller. An invalid credential is charged to its address. */
  identify(headers: IncomingHttpHeaders, remoteAddress: string): Identified | Promise<Identified> {
    const identified = this.#currentIdentifier().identify(headers, remoteAddress);
    if (identified instanceof Promise) return identified.then((one) => this.#badCredentials.charge(one));
    return identified.rejection === null ? identified : this.#badCredentials.charge(identified);
  }

  /** Rejects a caller without credentials on a route that needs them, and charges its address. */
  rejectAnonymous(ip: string, detail: string): Identified | Promise<Identified> {
    return this.#badCredentials.rejectAnonymous(ip, detail);
  }

  addressOf(headers: IncomingHttpHeaders, remoteAddress: string): string {
    return this.#currentIdentifier().addressOf(headers, remoteAddress);
  }

  /** Returns true if a connection with this remote address comes from one of the policy's trusted proxies. */
  trusts(remoteAddress: string): boolean {
    return this.#currentIdentifier().trusts(remoteAddress);
  }

  /** Decides about a request. The decision is counted and a limit hit is logged, unless the request is a peek. */
  decide(request: DecisionRequest): Promise<Verdict> {
    return new Promise((resolve) => this.decideWith(request, resolve));
  }

  /**
   * Like `decide`, but with a callback in place of a promise, for the entrypoints on the path of every request.
   * `onVerdict` may be called before this method returns, and must not throw.
   */
  decideWith(request: DecisionRequest, onVerdict: (verdict: Verdict) => void): void {
    const report = this.#tracing === null ? onVerdict : tracedVerdicts(this.#tracing, request, onVerdict);
    decide(this.#dependencies, this.policy(), request, (verdict) => {
      // If `applicable` is set, the decision is about a call of the API listener itself. Such a call has its
      // own metric and is not counted as a request to the protected API.
      if (!request.peek && request.applicable === undefined) this.recordDecision(verdict);
      report(verdict);
    });
  }

  /** Counts a decision and logs a limit hit. For a peek, call this only if the peek refuses the request. */
  recordDecision(verdict: Verdict): void {
    this.metrics.countDecision(verdict);
    if (verdict.decision.limitedBy.length === 0) return;
    logLimitHit(this.#limitHits, verdict);
    // Refused credentials and addresses over their limit are not stored: a flood of them would evict the
    // decisions that tenants look up.
    if (verdict.credentialRejection === null && verdict.addressRejection === null)
      this.recent.remember(verdict);
  }

  /** The route of a request, if the usage of its calls is read; otherwise null. */
  meteredRoute(request: RawRequest): MeteredRoute | null {
    return meteredRoute(this.policy(), request);
  }

  /**
   * Writes the usage event of a request. Resolves when the event is durable; only then may the response be sent. Never
   * rejects.
   */
  meter(verdict: Verdict, response: MeteredResponse): Promise<void> {
    const written = this.#meter.writeRequest(verdict, response);
    if (verdict.trace !== null) describeTrace(verdict.trace, verdict, response);
    return written;
  }

  /**
   * Gives the units of a served request back if the policy does not charge responses with this status. Returns the verdict
   * for the usage event, which then has no units. If the process crashes before Redis has the units back, they stay
   * charged: too strict, but no limit is exceeded.
   */
  chargeByStatus(verdict: Verdict, status: number): Verdict {
    const charge = returnableCharge(verdict);
    if (charge?.unlessStatus.has(status) !== true) return verdict;
    void this.#giveBack(charge, null);
    return { ...verdict, units: 0 };
  }

  /**
   * Like `chargeByStatus`, for a decision whose event is already written and whose outcome may be reported to several
   * nodes. The units are returned once. Never rejects.
   */
  async returnOnce(decisionId: string, charge: ReturnableCharge): Promise<void> {
    await this.#giveBack(charge, decisionId);
  }

  /**
   * Returns the units of a decision to its limits, and what it reserved. Only for a decision without a usage event. Never
   * rejects.
   */
  async undo(verdict: Verdict): Promise<void> {
    const handle = verdict.reservation?.handle ?? null;
    if (handle === null) await this.#returnUnits(verdict, false);
    else if (verdict.reservation?.repeated !== true) await this.#limiter.cancel(handle);
  }

  /**
   * Charges usage that was consumed, whether limits have room or not, and writes the event of its call. `verdict` is that
   * of a peek: it names the caller and the limits. Resolves when the event is durable; never rejects.
   */
  async recordUsage(verdict: Verdict, usage: SettledUsage, model: string | null): Promise<void> {
    const { decision } = verdict;
    const reservation = { id: decision.id, expiresMs: 0, details: '' };
    await this.#limiter.recordUsage({ ...this.#checkOf(verdict), amounts: usage.amounts, reservation });
    const allowed = {
      ...decision,
      outcome: 'allowed' as const,
      reason: null,
      limitedBy: [],
      retryAfterMs: null,
    };
    await this.#meter.writeRequest(
      { ...verdict, decision: allowed, units: 0, reservation: null },
      { status: 200, latencyMs: 0, entrypoint: 'rls', usage: { ...usage, model } },
    );
  }

  /**
   * Returns units to their limits after a usage event has counted them, and writes an event with the number of units that
   * Redis returned. Never rejects.
   */
  async refund(verdict: Verdict): Promise<void> {
    const units = await this.#returnUnits(verdict, true);
    if (units > 0) await this.#meter.writeRefund(verdict, units);
  }

  /** Stops fetching the keys with which tokens are verified, and waits for the settlements that have begun. */
  async close(): Promise<void> {
    this.#credentials.close();
    await this.reservations.close();
  }

  async #returnUnits(verdict: Verdict, metered: boolean): Promise<number> {
    // Nothing was charged for this caller or route, so the units in the limits belong to other requests.
    if (verdict.decision.outcome === 'bypassed') return 0;
    return this.#limiter.refund(this.#checkOf(verdict), metered);
  }

  async #giveBack(charge: ReturnableCharge, decisionId: string | null): Promise<void> {
    const { tenantId } = charge.identity;
    const resetAtMs = (tenantId === null ? null : this.records.get(tenantId))?.reset?.at_ms ?? 0;
    if (resetAtMs > charge.atMs) return;
    await this.#limiter.giveBack(this.#checkOf(charge), { atMs: charge.atMs, decisionId });
  }

  #checkOf({ identity, limits, units, attributes }: Charge): CheckRequest {
    const { tenantId, userId, ip } = identity;
    const record = tenantId === null ? null : (this.records.get(tenantId) ?? null);
    const groupId = record?.group ?? null;
    const calendar = calendarOf(record);
    return { tenantId, userId, ip, groupId, attributes, limits, cost: units, peek: false, calendar };
  }

  #currentIdentifier(): Identifier {
    const policy = this.policy();
    if (this.#identifier.policy !== policy) this.#identifier = new Identifier(policy, this.#credentials);
    return this.#identifier;
  }
}

/**
 * Starts the span of a request and adds it to the verdict. A span that no entrypoint ends, because the decision has no
 * event, is not exported.
 */
function tracedVerdicts(
  tracing: Tracing,
  { headers, traceHeaders = headers ?? {}, receivedAt }: DecisionRequest,
  onVerdict: (verdict: Verdict) => void,
): (verdict: Verdict) => void {
  const trace = new RequestTrace(tracing.startRequest(traceHeaders, receivedAt));
  return (verdict) => onVerdict({ ...verdict, trace });
}
