import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { Kafka as KafkaJs } from 'kafkajs';
import type { SASLOptions } from 'kafkajs';
import { systemClock } from '../../runtime/time/clock.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { KafkaSecurity } from '../environment.ts';
import { replaceFetchDecoder } from './decoding/fetch-response.ts';
import { bridgeLogs } from './log-bridge.ts';
import { askForLogEnds } from './patches/log-end-request.ts';
import { hastenProduce, stampProducedBy } from './patches/produce-encoding.ts';
import { quietRequestQueue } from './patches/request-queue.ts';

export interface KafkaOptions {
  /** `host:port`, several separated by commas or as a list. */
  readonly brokers: string | readonly string[];
  readonly clientId: string;
  readonly logger: Logger;
  /** Absent: in the clear and without a name. */
  readonly security?: KafkaSecurity;
  /** Bound of opening a socket. */
  readonly connectionTimeoutMs?: number;
  /** Bound of one request and its answer. */
  readonly requestTimeoutMs?: number;
  /** Stamps what is sent; this machine's where it is absent. A broker refuses stamps that are more than an hour ahead. */
  readonly clock?: Clock;
}

/** The way to one Kafka cluster. Opens nothing by itself. */
export interface Kafka {
  readonly clientId: string;
  readonly logger: Logger;
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  /** A client with sockets of its own, so that it can be thrown away without touching any other. */
  open(): KafkaConnection;
}

export interface KafkaConnection {
  readonly client: KafkaJs;
  /** Cuts every socket at once and opens no more: whatever is in flight fails now, and nothing of it is sent again. */
  destroy(): void;
}

/**
 * Describes a cluster. Never connects and never throws because of the network.
 *
 * kafkajs is used through throwaway connections, because it has states it does not come out of: requests on a
 * connection that is closing lose their timeout, and a socket that ends before it connected settles nothing.
 * Every caller bounds its calls by its own clock, destroys the connection when the bound is passed, and opens another.
 */
export function createKafka(options: KafkaOptions): Kafka {
  quietRequestQueue();
  hastenProduce();
  replaceFetchDecoder();
  askForLogEnds();
  const { clientId, logger, connectionTimeoutMs = 3_000, requestTimeoutMs = 10_000 } = options;
  const { clock = systemClock } = options;
  // One for all connections: each of those that are opened while a broker is away says the same.
  const logCreator = bridgeLogs(logger);
  if (options.clock !== undefined) stampProducedBy(clock);
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
      // Explicit, since kafkajs takes other defaults where NODE_ENV is "test".
      retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2 },
      ...(sasl === null ? {} : { sasl: sasl as SASLOptions }),
      socketFactory: ({ host, port, onConnect }) => sockets.connect(host, port, onConnect),
      logCreator,
    });
    return { client, destroy: () => sockets.destroy() };
  }
}

const keepAliveDelayMs = 60_000;

/** The sockets of one connection. Destroying one with an error is what makes kafkajs reject the requests on it. */
function createSockets(tls: KafkaSecurity['tls']): {
  connect(host: string, port: number, onConnect: () => void): Socket;
  destroy(): void;
} {
  const open = new Set<Socket>();
  let destroyed = false;
  return {
    connect(host, port, onConnect) {
      if (destroyed) throw new Error('The connection was given up');
      const address = {
        host,
        port,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: keepAliveDelayMs,
      };
      // A name is asked for only where there is one: an address has no place in that field.
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
      for (const socket of open) socket.destroy(new Error('The connection was given up'));
    },
  };
}
