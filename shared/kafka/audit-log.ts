import { randomUUID } from 'node:crypto';
import { Counter } from 'prom-client';
import type { AuditEntry, AuditSource } from '../domain/topics/audit-entry.ts';
import type { Registry } from '../runtime/http/ops.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Producer } from './producer/producer.ts';
import type { Topics } from './topics.ts';

/** An entry without the fields that the audit log sets. */
export type NewAuditEntry = Pick<AuditEntry, 'actor' | 'action' | 'detail'> &
  Partial<Pick<AuditEntry, 'tenant_id' | 'source' | 'reason' | 'facts'>>;

/**
 * Writes entries of the audit trail for actions that change no tenant record. The entry of a change of a record is a part
 * of that record instead (`tenant-directory.ts`). Each entry is also logged, with `"audit": true`.
 */
export interface AuditLog {
  /**
   * Resolves when Kafka has the entry. Await it before the action, so that no action is without an entry. Rejects with
   * KAFKA_UNAVAILABLE.
   */
  append(entry: NewAuditEntry): Promise<void>;
  /**
   * Writes the entry in the background, for actions that must not wait for Kafka, such as a sign-in. If Kafka does not
   * take the entry, or there are too many, it is only in the log, and counted.
   */
  note(entry: NewAuditEntry): void;
}

export interface AuditLogOptions {
  readonly producer: Pick<Producer, 'send'>;
  readonly topics: Pick<Topics, 'audit'>;
  /** Source of entries that state none. */
  readonly source: AuditSource;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly logger: Logger;
}

/** Maximum number of entries of one budget that wait in the background. It bounds the memory while Kafka is unavailable. */
const waitingMax = 1_000;
/**
 * Maximum number of entries in the background per minute, so that attempts to sign in cannot fill the trail. Refused
 * sign-ins and all other entries have a maximum each, so that a flood of refused sign-ins removes no accepted ones.
 */
const notesPerMinuteMax = 300;

export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { producer, topics, source, clock, registry, logger } = options;
  const lost = new Counter({
    name: 'tollgate_audit_trail_entries_lost_total',
    help: 'Entries of the audit trail that are only in the log, because Kafka did not take them.',
    registers: [registry],
  });
  const refused = createNoteBudget(clock);
  const others = createNoteBudget(clock);
  return {
    append: (entry) => write(entry),
    note(entry) {
      const budget = entry.action === 'sign-in-refused' ? refused : others;
      if (!budget.start()) {
        log(entry);
        lost.inc();
        return;
      }
      write(entry)
        .catch((error: unknown) => {
          lost.inc();
          logger.error(
            { err: error, action: entry.action },
            'an entry of the audit trail is only in the log',
          );
        })
        .finally(() => budget.end());
    },
  };

  async function write(entry: NewAuditEntry): Promise<void> {
    log(entry);
    const complete: AuditEntry = {
      ...{ id: randomUUID(), at: new Date(clock.now()).toISOString(), tenant_id: '', source, reason: '' },
      ...entry,
    };
    const key = complete.tenant_id === '' ? null : complete.tenant_id;
    await producer.send(topics.audit, [{ key, value: JSON.stringify(complete) }]);
  }

  function log({ detail, ...entry }: NewAuditEntry): void {
    logger.info({ audit: true, ...entry }, detail);
  }
}

interface NoteBudget {
  /** Counts an entry. False: too many entries of this minute, or too many that wait for Kafka. */
  start(): boolean;
  /** An entry no longer waits for Kafka. */
  end(): void;
}

function createNoteBudget(clock: Clock): NoteBudget {
  let waiting = 0;
  let minute = { startMs: 0, notes: 0 };
  return {
    start() {
      const nowMs = clock.now();
      if (Math.abs(nowMs - minute.startMs) >= 60_000) minute = { startMs: nowMs, notes: 0 };
      if (waiting >= waitingMax || minute.notes >= notesPerMinuteMax) return false;
      minute.notes += 1;
      waiting += 1;
      return true;
    },
    end() {
      waiting -= 1;
    },
  };
}
