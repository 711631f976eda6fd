import type { Admin } from 'kafkajs';
import { within } from '../../runtime/within.ts';
import type { Kafka, KafkaConnection } from './kafka.ts';

/** Questions to Kafka over a connection of their own, opened when needed and thrown away when one fails. */
export interface AdminLine {
  /** Rejects with what Kafka said, or with KAFKA_UNAVAILABLE after `timeoutMs`. `what` names it for the error. */
  ask<Answer>(what: string, timeoutMs: number, question: (admin: Admin) => Promise<Answer>): Promise<Answer>;
  close(): void;
}

export function createAdminLine(kafka: Kafka): AdminLine {
  let connection: KafkaConnection | null = null;
  let admin: Admin | null = null;

  return {
    async ask(what, timeoutMs, question) {
      try {
        admin ??= await connect();
        return await within(question(admin), timeoutMs, 'KAFKA_UNAVAILABLE', what);
      } catch (error) {
        close();
        throw error;
      }
    },
    close,
  };

  async function connect(): Promise<Admin> {
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
