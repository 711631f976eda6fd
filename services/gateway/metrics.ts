import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Verdict } from './verdict.ts';

/** What the gateway counts. Labels are bounded: plans and limits are names of the policy, the rest words of the code. */
export interface GatewayMetrics {
  decided(verdict: Verdict): void;
  answered(door: string, status: number): void;
  readonly inFlight: Gauge;
  readonly delaySeconds: Histogram;
  readonly eventsLost: Counter;
  readonly logsSuppressed: Counter;
  readonly upstreamSeconds: Histogram;
  readonly apiEvents: Counter<'result'>;
}

export function createGatewayMetrics(registry: Registry): GatewayMetrics {
  const registers = [registry];
  const checks = new Counter({
    name: 'tollgate_checks_total',
    help: 'Decisions, by outcome, plan and the first limit without room (empty where none was).',
    labelNames: ['decision', 'plan', 'limit'],
    registers,
  });
  const checkSeconds = new Histogram({
    name: 'tollgate_check_duration_seconds',
    help: 'Time from asking the limiter to knowing.',
    buckets: [0.0001, 0.0002, 0.0003, 0.0005, 0.00075, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05],
    registers,
  });
  const responses = new Counter({
    name: 'tollgate_responses_total',
    help: 'Answered requests, by the door they came through and the class of the status.',
    labelNames: ['door', 'status'],
    registers,
  });
  return {
    decided: ({ decision, plan }) => {
      checks.inc({
        decision: decision.outcome,
        plan: plan.name,
        limit: decision.limitedBy[0] ?? '',
      });
      if (decision.checkMicros > 0) checkSeconds.observe(decision.checkMicros / 1e6);
    },
    answered: (door, status) => responses.inc({ door, status: `${Math.floor(status / 100)}xx` }),
    ...timings(registers),
    ...losses(registers),
  };
}

function timings(
  registers: Registry[],
): Pick<GatewayMetrics, 'inFlight' | 'delaySeconds' | 'upstreamSeconds'> {
  return {
    inFlight: new Gauge({
      name: 'tollgate_requests_open',
      help: 'Requests being served on this node, streaming ones included.',
      registers,
    }),
    delaySeconds: new Histogram({
      name: 'tollgate_slow_down_delay_seconds',
      help: 'How long requests near their limit were held back.',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    upstreamSeconds: new Histogram({
      name: 'tollgate_upstream_duration_seconds',
      help: 'Time from forwarding a request to the first byte of the answer.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
  };
}

function losses(registers: Registry[]): Pick<GatewayMetrics, 'eventsLost' | 'logsSuppressed' | 'apiEvents'> {
  return {
    eventsLost: new Counter({
      name: 'tollgate_events_unwritten_total',
      help: 'Usage events that the spool refused: usage that was served and will not be counted.',
      registers,
    }),
    logsSuppressed: new Counter({
      name: 'tollgate_gateway_logs_suppressed_total',
      help: 'Limit hits and failures of the upstream without a log line of their own, because lines are bounded.',
      registers,
    }),
    apiEvents: new Counter({
      name: 'tollgate_api_events_total',
      help: 'Usage events offered to POST /v1/events, by result.',
      labelNames: ['result'],
      registers,
    }),
  };
}
