import { hostname } from 'node:os';
import { Registry } from 'prom-client';
import type { KafkaSecurity } from '../../shared/kafka/environment.ts';
import { topicPrefixDefault } from '../../shared/kafka/environment.ts';
import { callTimeoutMsDefault } from '../../shared/redis/client.ts';
import { keyPrefixDefault } from '../../shared/redis/environment.ts';
import type { TollgateError } from '../../shared/runtime/errors.ts';
import { createLifecycle } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Enforcer } from './enforcer/enforcer.ts';
import { openEnforcer } from './open-enforcer.ts';

/** Brokers with TLS or authentication. */
export interface KafkaServers {
  /** `host:port` of the brokers to connect to first, separated by commas. */
  readonly brokers: string;
  /** `true` trusts the public authorities; an object names certificates in PEM. Absent: no encryption. */
  readonly tls?: boolean | NonNullable<KafkaSecurity['tls']>;
  readonly sasl?: NonNullable<KafkaSecurity['sasl']>;
}

/** How an API runs Tollgate inside its own process. */
export interface InProcessOptions {
  /** Path of the policy file. Changes of the file take effect without a restart. */
  readonly policy: string;
  /** `redis://[user:password@]host:port[/db]`; several nodes of a cluster, separated by commas. `rediss://` uses TLS. */
  readonly redis: string;
  /** `host:port` of the brokers, separated by commas, or an object with TLS and authentication. */
  readonly kafka: string | KafkaServers;
  /** Directory for events that Kafka does not have yet. Each process needs a directory of its own. */
  readonly spoolDirectory: string;
  /**
   * What happens to requests while Redis is unavailable. `open`, the default: this process admits its share of each
   * limit. `closed`: the requests get 503 with `Retry-After: 1`.
   */
  readonly onFailure?: 'open' | 'closed';
  /** What the events of answered requests survive: `process` (default) a crash, `power` a power failure too. */
  readonly durability?: 'process' | 'power';
  /** Time that a decision waits for Redis, in milliseconds. */
  readonly redisTimeoutMs?: number;
  /** Name of this process in events. Absent: host name and process id. */
  readonly node?: string;
  /** First part of every Redis key, as `TOLLGATE_KEY_PREFIX` of the services. */
  readonly keyPrefix?: string;
  /** First part of every topic, as `TOLLGATE_TOPIC_PREFIX` of the services. */
  readonly topicPrefix?: string;
  /** Variables that the policy names (`secret_env`). Absent: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Registry of prom-client to which Tollgate adds its metrics. Absent: a registry of its own. */
  readonly registry?: Registry;
  /** Absent: warnings and errors as JSON lines on standard output. */
  readonly logger?: Logger;
}

/** Tollgate inside the process of an API. */
export interface InProcess {
  readonly enforcer: Enforcer;
  readonly registry: Registry;
  /** Sends the remaining events to Kafka and closes the connections. Call it after the last response. */
  readonly close: () => Promise<void>;
}

/**
 * Opens Tollgate inside the process of an API: policy, Redis, tenant records, spool, and the sender of events to Kafka.
 * Waits up to five seconds for Redis and Kafka, and then works without them. Throws if the policy is invalid or
 * another process uses the spool directory.
 */
export async function openInProcess(options: InProcessOptions): Promise<InProcess> {
  const { node = `${hostname()}-${process.pid}`, registry = new Registry() } = options;
  const logger = options.logger ?? createLogger('tollgate', 'warn');
  const lifecycle = createLifecycle(logger);
  let isOpen = false;
  const spoolLosses: TollgateError[] = [];
  const settings = {
    policyPath: options.policy,
    env: options.env ?? {},
    redisUrl: options.redis,
    keyPrefix: options.keyPrefix ?? keyPrefixDefault,
    redisTimeoutMs: options.redisTimeoutMs ?? callTimeoutMsDefault,
    kafka: kafkaOf(options.kafka),
    topicPrefix: options.topicPrefix ?? topicPrefixDefault,
    spoolDirectory: options.spoolDirectory,
    durability: options.durability ?? 'process',
    node,
  };
  try {
    const runtime = { logger, registry, lifecycle, onSpoolLost };
    const core = await openEnforcer(settings, runtime);
    for (const error of spoolLosses) throw error;
    await core.untilReady();
    isOpen = true;
    return { enforcer: core.enforcer, registry, close: () => lifecycle.close() };
  } catch (error) {
    await lifecycle.close();
    throw error;
  }

  /** Ends the process by an uncaught exception: two processes that write one spool would lose events. */
  function onSpoolLost(error: TollgateError): void {
    spoolLosses.push(error);
    logger.fatal({ err: error }, 'another process uses the spool directory');
    if (!isOpen) return;
    queueMicrotask(() => {
      throw error;
    });
  }
}

function kafkaOf(kafka: string | KafkaServers): { brokers: string; security: KafkaSecurity } {
  if (typeof kafka === 'string') return { brokers: kafka, security: { tls: null, sasl: null } };
  const { brokers, tls = false, sasl = null } = kafka;
  return { brokers, security: { tls: tls === true ? {} : tls === false ? null : tls, sasl } };
}
