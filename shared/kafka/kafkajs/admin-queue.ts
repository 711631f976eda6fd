import type { Admin } from 'kafkajs';
import { within } from '../../runtime/within.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';

export type KafkaAdmin = Admin;

/**
 * Sends admin requests over one connection, one at a time. The first request opens the connection. A failed request
 * destroys it, because kafkajs has states that it does not leave by itself; the next request opens another connection.
 */
export interface AdminQueue {
  /**
   * Rejects with the error of Kafka, or with KAFKA_UNAVAILABLE after `timeoutMs`. `what` names the request in the error
   * message.
   */
  call<Result>(
    what: string,
    timeoutMs: number,
    request: (admin: KafkaAdmin) => Promise<Result>,
  ): Promise<Result>;
  close(): void;
}

export function createAdminQueue(kafka: Kafka): AdminQueue {
  let connection: KafkaConnection | null = null;
  let admin: KafkaAdmin | null = null;
  let last: Promise<unknown> = Promise.resolve();

  return {
    call(what, timeoutMs, request) {
      const result = last.then(async () => {
        try {
          admin ??= await connect();
          return await within(request(admin), timeoutMs, 'KAFKA_UNAVAILABLE', what);
        } catch (error) {
          close();
          throw error;
        }
      });
      last = result.catch(() => undefined);
      return result;
    },
    close,
  };

  async function connect(): Promise<KafkaAdmin> {
    connection = kafka.open();
    const opened = connection.client.admin();
    await within(opened.connect(), kafka.requestTimeoutMs, 'KAFKA_UNAVAILABLE', 'connecting');
    return opened;
  }

  function close(): void {
    connection?.destroy();
    connection = null;
    admin = null;
  }
}
