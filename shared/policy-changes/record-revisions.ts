import { latestAcceptedRevision, storePolicyRevision } from '../clickhouse/queries/policy/revisions.ts';
import type { PolicyText } from '../clickhouse/queries/policy/revisions.ts';
import type { ClickHouse } from '../clickhouse/client.ts';
import { revisionOf } from '../policy/file/compile.ts';
import type { PolicyWatch } from '../policy/load.ts';
import type { Logger } from '../runtime/logger.ts';
import { createOutageLog } from '../runtime/outage-log.ts';
import { repeatUntilClosed } from '../runtime/repeat.ts';
import type { Clock } from '../runtime/time/clock.ts';

export interface RecorderOptions {
  readonly watch: PolicyWatch;
  readonly file: string;
  readonly clickhouse: ClickHouse;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Entries that wait for ClickHouse. More edits than that within an outage are only in the log. */
const waitingMax = 100;
const idleMs = 1_000;
const retryMs = 5_000;

/**
 * Stores each revision of the policy file that takes effect, and each edit that is refused. A revision that an operator put live is
 * stored already, with the operator. While ClickHouse is unavailable, entries wait in memory; at the next start, the policy in
 * force is stored if it is not the latest one.
 */
export function recordRevisions(options: RecorderOptions): { close(): Promise<void> } {
  const { watch, file, clickhouse, clock, logger } = options;
  const outage = createOutageLog(logger);
  const waiting: PolicyText[] = [];
  const add = (outcome: PolicyText['outcome'], text: string, violations: readonly string[]): void => {
    const at = new Date(clock.now()).toISOString();
    const entry = { at, revision: revisionOf(text), outcome, actor: '', reason: '', file, text };
    if (waiting.length < waitingMax) waiting.push({ ...entry, violations: violations.join('\n') });
  };
  add('accepted', watch.text(), []);
  const removeListeners = [
    watch.onChange(() => add('accepted', watch.text(), [])),
    watch.onRefused(({ text, violations }) => add('refused', text, violations)),
  ];
  const storing = repeatUntilClosed(storeWaiting);
  return {
    close: async () => {
      for (const remove of removeListeners) remove();
      await storing.close();
    },
  };

  async function storeWaiting(): Promise<number> {
    try {
      for (let [entry] = waiting; entry !== undefined; [entry] = waiting) {
        const isStored =
          entry.outcome === 'accepted' && (await latestAcceptedRevision(clickhouse)) === entry.revision;
        if (!isStored) await storePolicyRevision(clickhouse, entry);
        waiting.shift();
      }
      outage.worked();
      return idleMs;
    } catch (error) {
      outage.failed(error, 'revisions of the policy wait for ClickHouse');
      return retryMs;
    }
  }
}
