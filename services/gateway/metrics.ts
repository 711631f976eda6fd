import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { createTally } from '../../shared/runtime/tally.ts';
import { usageSources } from '../../shared/domain/usage/measures.ts';
import type { Verdict } from './enforcer/verdict.ts';
import { startAtZero } from '../../shared/runtime/zero-counters.ts';
import { usageViolations } from './usage/call-usage.ts';
import type { CallUsage } from './usage/call-usage.ts';

/**
 * Creates the gateway's metrics. The number of label values is bounded: plans and limits are names of the policy, and
 * all other values are constants in the code.
 */
export interface GatewayMetrics {
  countDecision(verdict: Verdict): void;
  countResponse(entrypoint: string, status: number): void;
  /** Counts where the usage of a call was read from, and why the figures of the upstream were not used. */
  countUsage(usage: Pick<CallUsage, 'source' | 'violations'>): void;
  /** Counts a request as open until `closeRequest` is called. */
  openRequest(): void;
  closeRequest(): void;
  readonly delaySeconds: Histogram;
  readonly eventsLost: Counter;
  readonly connectionsEnded: Counter<'entrypoint' | 'reason'>;
  readonly eventsSampledOut: Counter;
  readonly credentialsRefused: Counter<'status'>;
  readonly logsSuppressed: Counter;
  readonly upstreamSeconds: Histogram;
  readonly upstreamFailures: Counter<'kind'>;
  readonly apiEvents: Counter<'result'>;
  readonly apiOutcomes: Counter<'result'>;
  readonly apiWork: Counter<'kind' | 'result'>;
}

export function createGatewayMetrics(registry: Registry): GatewayMetrics {
  const registers = [registry];
  const checkSeconds = createTally({
    name: 'tollgate_check_duration_seconds',
    help: 'Time from calling the limiter to its result, by what decided: Redis, or the node alone, possibly after waiting for Redis in vain.',
    split: { label: 'decided_by', values: ['redis', 'node'] },
    buckets: [
      0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
      1, 5,
    ],
    registry,
  });
  const countOutcome = decisionCounter(registers);
  return {
    countDecision: (verdict) => {
      countOutcome(verdict);
      const { checkMicros, degraded } = verdict.decision;
      if (checkMicros > 0) checkSeconds.observe(checkMicros / 1e6, degraded ? 1 : 0);
    },
    countResponse: responseCounter(registers),
    countUsage: usageCounter(registers),
    ...openRequests(registers),
    ...durationHistograms(registers),
    ...lossCounters(registers),
    ...refusalCounters(registers),
  };
}

/**
 * Nearly all decisions are `allowed`. They are counted in a map that is added to the counter at each scrape, because
 * incrementing a counter with labels costs more time per request.
 */
function decisionCounter(registers: Registry[]): (verdict: Verdict) => void {
  const allowed = new Map<string, number>();
  const checks = new Counter({
    name: 'tollgate_checks_total',
    help: 'Decisions, by outcome, plan and the first limit without room (empty where all limits had room).',
    labelNames: ['decision', 'plan', 'limit'],
    registers,
    collect() {
      for (const [plan, count] of allowed) this.inc({ decision: 'allowed', plan, limit: '' }, count);
      allowed.clear();
    },
  });
  return ({ decision: { outcome, limitedBy }, plan: { name } }) => {
    if (outcome === 'allowed') allowed.set(name, (allowed.get(name) ?? 0) + 1);
    else checks.inc({ decision: outcome, plan: name, limit: limitedBy[0] ?? '' });
  };
}

/** Entrypoints of the gateway itself. An application that uses the plugin can choose another name. */
const entrypoints = ['proxy', 'check', 'authz', 'ext_authz', 'rls', 'api', 'websocket', 'plugin'];

/** Number of status classes: one for each first digit of a status (1xx to 5xx), and class 0 for all other statuses. */
const statusClasses = 6;

function responseCounter(registers: Registry[]): (entrypoint: string, status: number) => void {
  const byEntrypoint = new Map<string, number[]>();
  const responses = new Counter({
    name: 'tollgate_responses_total',
    help: 'Requests by entrypoint and class of the status of their response.',
    labelNames: ['entrypoint', 'status'],
    registers,
    collect() {
      for (const [entrypoint, counts] of byEntrypoint) {
        counts.forEach((count, first) => count > 0 && this.inc({ entrypoint, status: `${first}xx` }, count));
        counts.fill(0);
      }
    },
  });
  startAtZero(responses, { entrypoint: entrypoints, status: ['1xx', '2xx', '3xx', '4xx', '5xx'] });
  return (entrypoint, status) => {
    let counts = byEntrypoint.get(entrypoint);
    if (counts === undefined)
      byEntrypoint.set(entrypoint, (counts = new Array<number>(statusClasses).fill(0)));
    const first = Math.floor(status / 100);
    const index = first < statusClasses ? first : 0;
    counts[index] = (counts[index] ?? 0) + 1;
  };
}

function usageCounter(registers: Registry[]): GatewayMetrics['countUsage'] {
  const calls = new Counter({
    name: 'tollgate_calls_settled_total',
    help: 'Calls to the upstream whose usage was read, by source of the usage: reported by the upstream, measured from the delivered output, or estimated before the call.',
    labelNames: ['source'],
    registers,
  });
  const violations = new Counter({
    name: 'tollgate_usage_violations_total',
    help: 'Reports of usage that were missing or implausible, by violation. One report may have several.',
    labelNames: ['violation'],
    registers,
  });
  startAtZero(calls, { source: usageSources });
  startAtZero(violations, { violation: usageViolations });
  return (usage) => {
    calls.inc({ source: usage.source });
    for (const violation of usage.violations) violations.inc({ violation });
  };
}

function openRequests(registers: Registry[]): Pick<GatewayMetrics, 'openRequest' | 'closeRequest'> {
  let open = 0;
  new Gauge({
    name: 'tollgate_requests_open',
    help: 'Requests being served on this node, streaming ones included.',
    registers,
    collect() {
      this.set(open);
    },
  });
  return { openRequest: () => void (open += 1), closeRequest: () => void (open -= 1) };
}

function durationHistograms(
  registers: Registry[],
): Pick<GatewayMetrics, 'delaySeconds' | 'upstreamSeconds' | 'upstreamFailures'> {
  return {
    delaySeconds: new Histogram({
      name: 'tollgate_slow_down_delay_seconds',
      help: 'Time by which requests near their limit were delayed.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    upstreamSeconds: new Histogram({
      name: 'tollgate_upstream_duration_seconds',
      help: 'Time from forwarding a request to the first byte of the response.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    upstreamFailures: startAtZero(
      new Counter({
        name: 'tollgate_upstream_failures_total',
        help: 'Responses with a status of 5xx because of the upstream, by kind: status (its own response), unreachable, timeout, aborted.',
        labelNames: ['kind'],
        registers,
      }),
      { kind: ['status', 'unreachable', 'timeout', 'aborted'] },
    ),
  };
}

function lossCounters(
  registers: Registry[],
): Pick<
  GatewayMetrics,
  'eventsLost' | 'connectionsEnded' | 'logsSuppressed' | 'apiEvents' | 'apiOutcomes' | 'apiWork'
> {
  return {
    eventsLost: new Counter({
      name: 'tollgate_events_unwritten_total',
      help: 'Usage events that the spool refused: requests that were served and will not be counted.',
      registers,
    }),
    connectionsEnded: new Counter({
      name: 'tollgate_connections_ended_total',
      help: 'Connections that the gateway refused or closed, by listener and reason: too many, too slow, or too long.',
      labelNames: ['entrypoint', 'reason'],
      registers,
    }),
    logsSuppressed: new Counter({
      name: 'tollgate_gateway_logs_suppressed_total',
      help: 'Limit hits and upstream failures without a log line of their own, because the lines of a second are bounded.',
      registers,
    }),
    apiEvents: startAtZero(
      new Counter({
        name: 'tollgate_api_events_total',
        help: 'Usage events sent to POST /v1/events, by result.',
        labelNames: ['result'],
        registers,
      }),
      { result: ['accepted', 'duplicate', 'rejected', 'unavailable'] },
    ),
    apiOutcomes: startAtZero(
      new Counter({
        name: 'tollgate_api_outcomes_total',
        help: 'Outcomes of checked requests that applications reported, by result: accepted, unknown, expired or unavailable.',
        labelNames: ['result'],
        registers,
      }),
      { result: ['accepted', 'unknown', 'expired', 'unavailable'] },
    ),
    apiWork: startAtZero(
      new Counter({
        name: 'tollgate_api_work_total',
        help: 'Work of tenants on the api listener in its units (calls, events, bytes), by kind, allowed or limited.',
        labelNames: ['kind', 'result'],
        registers,
      }),
      { kind: ['requests', 'events', 'eventBytes'], result: ['allowed', 'limited'] },
    ),
  };
}

function refusalCounters(
  registers: Registry[],
): Pick<GatewayMetrics, 'credentialsRefused' | 'eventsSampledOut'> {
  return {
    credentialsRefused: startAtZero(
      new Counter({
        name: 'tollgate_credentials_refused_total',
        help: 'Refused credentials on every listener, by status of the response: 401, 429 (too many from one address) or 503.',
        labelNames: ['status'],
        registers,
      }),
      { status: ['401', '429', '503'] },
    ),
    eventsSampledOut: new Counter({
      name: 'tollgate_events_sampled_out_total',
      help: 'Requests with bad credentials and requests that cannot be served without an event of their own: the weight of a sampled event includes them.',
      registers,
    }),
  };
}
