import { setTimeout as pause } from 'node:timers/promises';
import type { KafkaSecurity } from '../../shared/kafka/environment.ts';
import { brokerTime } from '../../shared/kafka/kafkajs/broker-time.ts';
import { createKafka } from '../../shared/kafka/kafkajs/kafka.ts';
import { createTenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { topicsWith } from '../../shared/kafka/topics.ts';
import { watchPolicy } from '../../shared/policy/load.ts';
import type { PolicyWatch } from '../../shared/policy/load.ts';
import { connectRedis, redisTime } from '../../shared/redis/client.ts';
import type { RedisClient } from '../../shared/redis/client.ts';
import { createLimiter } from '../../shared/redis/decision/limiter.ts';
import { createConcurrency } from '../../shared/redis/leases/concurrency.ts';
import { createSessions } from '../../shared/redis/leases/sessions.ts';
import type { Sessions } from '../../shared/redis/leases/sessions.ts';
import { createProcessReports } from '../../shared/redis/process-reports.ts';
import type { TollgateError } from '../../shared/runtime/errors.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import type { Lifecycle } from '../../shared/runtime/lifecycle.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { createAgreedClock } from '../../shared/runtime/time/agreed-clock.ts';
import type { AgreedClock, ClockSource } from '../../shared/runtime/time/agreed-clock.ts';
import type { Tracing } from '../../shared/runtime/tracing/tracing.ts';
import { Enforcer } from './enforcer/enforcer.ts';
import { startPublisher } from './metering/publish.ts';
import { reportState } from './report-state.ts';
import { openSpool } from './spool/spool.ts';
import type { Spool } from './spool/spool.ts';

export interface EnforcerSettings {
  /** Path of the policy file. Changes of the file take effect at once. */
  readonly policyPath: string;
  /** Variables that the policy names, such as `secret_env`, and `TOLLGATE_UPSTREAM`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly redisUrl: string;
  readonly keyPrefix: string;
  /** Longest wait of a decision for Redis; after it, this node decides without Redis. */
  readonly redisTimeoutMs: number;
  readonly kafka: { readonly brokers: string; readonly security?: KafkaSecurity };
  readonly topicPrefix: string;
  /** Directory of the event spool. Only one process may use it. */
  readonly spoolDirectory: string;
  readonly durability: 'process' | 'power';
  /** Name of this node in events and in Redis. Two running nodes must not have the same name. */
  readonly node: string;
}

export interface EnforcerRuntime {
  readonly logger: Logger;
  readonly registry: Registry;
  readonly lifecycle: Lifecycle;
  /** Clocks that are compared besides those of Redis and Kafka. */
  readonly clocks?: readonly ClockSource[];
  /** Called when another process took over the spool. This process then has to stop. */
  readonly onSpoolLost: (error: TollgateError) => void;
  /** Absent: no traces. */
  readonly tracing?: Tracing | null;
}

/** An enforcer with its connections to Redis and Kafka, and with its spool. */
export interface OpenedEnforcer {
  readonly enforcer: Enforcer;
  readonly policy: PolicyWatch;
  readonly clock: AgreedClock;
  readonly sessions: Sessions;
  readonly spool: Spool;
  /** Waits for Redis, for the tenant records and for an agreed time, but at most five seconds. */
  untilReady(): Promise<void>;
}

const startWaitMs = 5_000;
const startProbeMs = 25;

/**
 * Opens all that decisions need: policy, Redis, tenant records, spool, and the sender of events to Kafka. Every part is
 * closed by `lifecycle`, in reverse order. Throws if the policy is invalid or another process uses the spool. Does not
 * throw if Redis or Kafka is unavailable.
 */
export async function openEnforcer(
  settings: EnforcerSettings,
  runtime: EnforcerRuntime,
): Promise<OpenedEnforcer> {
  const { node } = settings;
  const { logger, registry, lifecycle, tracing = null } = runtime;
  const clock = createAgreedClock({ registry, logger, lifecycle });
  const policy = await watchPolicy(settings.policyPath, settings.env, { logger, registry });
  lifecycle.onClose('policy', () => policy.close());

  const { redis, limiter, concurrency, sessions } = openRedis(settings, runtime, clock);
  const kafka = createKafka({ ...settings.kafka, clientId: `gateway-${node}`, logger, clock });
  const topics = topicsWith(settings.topicPrefix);
  clock.compareWith([redisTime(redis), brokerTime(kafka, topics, lifecycle), ...(runtime.clocks ?? [])]);
  const records = createTenantDirectory({ kafka, topics, registry });
  lifecycle.onClose('tenants', () => records.close());

  const spool = await openSpool({
    directory: settings.spoolDirectory,
    durability: settings.durability,
    clock,
    registry,
    logger,
    onLost: runtime.onSpoolLost,
  });
  lifecycle.onClose('spool', () => spool.close());
  const reports = createProcessReports({ redis, keyPrefix: settings.keyPrefix, clock });
  const reporting = reportState({ reports, node, limiter, policy, spool, clock, logger });
  lifecycle.onClose('report of the state', () => reporting.close());
  const publisher = startPublisher({ kafka, topics, spool, clock, registry, logger, tracing });
  lifecycle.onClose('publisher', () => publisher.close());

  const core = { limiter, concurrency, records, events: spool, node, clock, logger, registry, tracing };
  const enforcer = new Enforcer({ policy: () => policy.current(), ...core });
  lifecycle.onClose('enforcer', () => enforcer.close());
  const untilReady = (): Promise<void> =>
    waitForParts(logger, {
      redis: () => redis.status === 'ready',
      'tenant records': () => records.ready(),
      clock: () => clock.agreed(),
    });
  return { enforcer, policy, clock, sessions, spool, untilReady };
}

function openRedis(
  { redisUrl, keyPrefix, redisTimeoutMs, node }: EnforcerSettings,
  { registry, logger, lifecycle }: EnforcerRuntime,
  clock: AgreedClock,
) {
  const redis = connectRedis(redisUrl, logger);
  lifecycle.onClose('redis', () => closeRedis(redis));
  const common = { redis, keyPrefix, node, callTimeoutMs: redisTimeoutMs, clock, registry, logger };
  const limiter = createLimiter({ ...common, leaseUnits: true });
  lifecycle.onClose('limiter', () => limiter.close());
  const shared = { ...common, nodes: () => limiter.state().nodes, breakerOf: limiter.breakerOf };
  const concurrency = createConcurrency(shared);
  lifecycle.onClose('concurrency', () => concurrency.close());
  const sessions = createSessions(shared);
  return { redis, limiter, concurrency, sessions };
}

/** Closes the connection. Without a connection `quit` fails, and the client would go on connecting. */
async function closeRedis(redis: RedisClient): Promise<void> {
  try {
    await redis.quit();
  } catch {
    redis.disconnect();
  }
}

/**
 * Waits until the parts are ready, but at most `startWaitMs`. Without Redis this node decides alone, and without
 * records a tenant has the plan that its token names. Both are better than no service, so the wait is short.
 */
async function waitForParts(logger: Logger, parts: Readonly<Record<string, () => boolean>>): Promise<void> {
  const deadline = performance.now() + startWaitMs;
  const missing = (): string[] => Object.keys(parts).filter((name) => parts[name]?.() !== true);
  while (missing().length > 0 && performance.now() < deadline) await pause(startProbeMs);
  if (missing().length > 0) logger.warn({ missing: missing() }, 'starting without what is not there yet');
}
