import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Kafka as KafkaJs } from 'kafkajs';
import type { SASLOptions } from 'kafkajs';
import { systemClock } from '../../runtime/time/clock.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { KafkaSecurity } from '../environment.ts';
import { patchFetchDecoding } from './decoding/fetch-response.ts';
import { bridgeLogs } from './log-bridge.ts';
import { patchLogEndRequest } from './patches/log-end-request.ts';
import { patchProduceEncoding, setProduceClock } from './patches/produce-encoding.ts';
import { patchRequestQueue } from './patches/request-queue.ts';
import { patchStoppedFetchers } from './patches/stopped-fetchers.ts';

export interface KafkaOptions {
  /** `host:port` of each broker, as a list or as one text separated by commas. */
  readonly brokers: string | readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
  /** If absent, connections use no encryption and no authentication. */
  readonly security?: KafkaSecurity;
  /** Time limit for opening a connection. */
  readonly connectionTimeoutMs?: number;
  /** Time limit for one request and its response. */
  readonly requestTimeoutMs?: number;
  /**
   * Clock for the timestamps of sent records. If absent, the system clock is used. A broker refuses a timestamp that is
   * more than an hour ahead.
   */
  readonly clock?: Clock;
}

/** One Kafka cluster. Opens no connection by itself. */
export interface Kafka {
  readonly clientId: string;
  readonly logger: Logger;
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  /** Returns a client with its own sockets, which can be destroyed without an effect on other clients. */
  open(): KafkaConnection;
}

export interface KafkaConnection {
  readonly client: KafkaJs;
  /** Destroys every socket and opens no more. Requests in flight fail at once, and kafkajs cannot send them again. */
  destroy(): void;
}

/**
 * Describes a cluster. Does not connect, and never throws because of the network.
 *
 * kafkajs has states that it never leaves. Requests on a closing connection have no timeout, and a connection attempt
 * whose socket ends early never resolves or rejects. So every caller limits its calls with its own timer. After a
 * timeout it destroys the connection and opens another.
 */
export function createKafka(options: KafkaOptions): Kafka {
  patchRequestQueue();
  patchProduceEncoding();
  patchFetchDecoding();
  patchLogEndRequest();
  patchStoppedFetchers();
  const { clientId, logger, connectionTimeoutMs = 3_000, requestTimeoutMs = 10_000 } = options;
  const { clock = systemClock } = options;
  // All connections share this log, which drops repeated lines: in an outage each connection logs the same line.
  const logCreator = bridgeLogs(logger);
  if (options.clock !== undefined) setProduceClock(clock);
  const brokers = typeof options.brokers === 'string' ? options.brokers.split(',') : [...options.brokers];
  const { tls = null, sasl = null } = options.security ?? {};
  return { clientId, logger, requestTimeoutMs, clock, open };

  function open(): KafkaConnection {
    const sockets = createSockets(tls);
    const client = new KafkaJs({
      brokers,
      clientId,
      connectionTimeout: connectionTimeoutMs,
      requestTimeout: requestTimeoutMs,
      // All settings are explicit, because kafkajs has other defaults if NODE_ENV is "test".
      retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2 },
      ...(sasl === null ? {} : { sasl: sasl as SASLOptions }),
      socketFactory: ({ host, port, onConnect }) => sockets.connect(host, port, onConnect),
      logCreator,
    });
    return { client, destroy: () => sockets.destroy() };
  }
}

const keepAliveDelayMs = 60_000;

/** The sockets of one connection. kafkajs rejects the requests on a socket when the socket is destroyed with an error. */
function createSockets(tls: KafkaSecurity['tls']): {
  connect(host: string, port: number, onConnect: () => void): Socket;
  destroy(): void;
} {
  const open = new Set<Socket>();
  let destroyed = false;
  return {
    connect(host, port, onConnect) {
      if (destroyed) throw new Error('The connection was destroyed');
      const address = {
        host,
        port,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveDelayMs,
      };
      // Server Name Indication allows host names only, no addresses.
      const socket =
        tls === null
          ? connect(address)
          : connectTls({ ...address, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) });
      socket.once(tls === null ? 'connect' : 'secureConnect', onConnect);
      socket.once('close', () => open.delete(socket));
      open.add(socket);
      return socket;
    },
    destroy() {
      destroyed = true;
      for (const socket of open) socket.destroy(new Error('The connection was destroyed'));
    },
  };
}
