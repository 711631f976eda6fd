import { pino } from 'pino';
import { Registry } from 'prom-client';
import { openSpool } from '../../../services/gateway/spool/spool.ts';
import type { Spool, SpoolOptions } from '../../../services/gateway/spool/spool.ts';
import { readSpoolRun } from '../../../shared/domain/spool-run.ts';
import type { SpoolRun } from '../../../shared/domain/spool-run.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { eventOf, metricOf } from '../../unit/spool/folder.ts';

/** The spool of a gateway in this process, with traffic that appends events and a sender that reads them. */
export interface SpoolNode {
  readonly spool: Spool;
  readonly registry: Registry;
  /** The receiver of the events that the sender sends. It replaces Kafka. */
  readonly kafka: Kafka;
  /** Sequence numbers of events whose response was sent. */
  readonly responded: Set<number>;
  /** Returns the longest time in ms that a response has waited since the previous call of this function. */
  slowestMs(): number;
  /** Ends the traffic. The sender continues. */
  stopTraffic(): Promise<void>;
  /** Ends the traffic, the sender and the spool in the order in which a gateway does. */
  stop(): Promise<void>;
}

export interface Kafka {
  /** While true, no event is received. */
  isDown: boolean;
  /** Received sequence numbers by run id. */
  readonly received: Map<string, Set<number>>;
}

export function createKafka(): Kafka {
  return { isDown: false, received: new Map() };
}

const drainMsMax = 10_000;

export interface NodeOptions extends Partial<SpoolOptions> {
  readonly kafka?: Kafka;
  /** Size of each event's payload in bytes. Large payloads fill a disk sooner. */
  readonly payloadBytes?: number;
}

/** Opens the spool and starts traffic, which appends a few events every few milliseconds. */
export async function startNode(directory: string, options: NodeOptions = {}): Promise<SpoolNode> {
  const { kafka = createKafka(), payloadBytes = 200, ...own } = options;
  const registry = new Registry();
  const clock = { now: () => Date.now() };
  const logger = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' });
  const spool = await openSpool({ directory, clock, registry, logger, segmentBytes: 100_000, ...own });
  const responded = new Set<number>();
  let slowest = 0;
  let isSending = true;
  const respond = async (): Promise<void> => {
    const startedAt = performance.now();
    const sequences = Array.from({ length: 5 }, () =>
      spool.append(eventOf('acme', 'x'.repeat(payloadBytes))),
    );
    await spool.flushed();
    slowest = Math.max(slowest, performance.now() - startedAt);
    for (const sequence of sequences) responded.add(sequence);
  };
  const open = new Set<Promise<void>>();
  const traffic = setInterval(() => {
    const one = respond().finally(() => open.delete(one));
    open.add(one);
  }, 4);
  const sending = send();

  return { spool, registry, kafka, responded, slowestMs, stopTraffic, stop };

  async function send(): Promise<void> {
    while (isSending) {
      const records = kafka.isDown ? [] : await spool.readBatch(500, 200_000).catch(() => []);
      for (const { value } of records) {
        const { spool: run = '', spoolsequence = 0 } = JSON.parse(value.toString()) as UsageCloudEvent;
        kafka.received.set(run, (kafka.received.get(run) ?? new Set()).add(spoolsequence));
      }
      const last = records.at(-1);
      if (last !== undefined) spool.acknowledge(last.sequence);
      else await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  function slowestMs(): number {
    const found = slowest;
    slowest = 0;
    return found;
  }

  async function stopTraffic(): Promise<void> {
    clearInterval(traffic);
    await Promise.all(open);
  }

  async function stop(): Promise<void> {
    await stopTraffic();
    const deadline = performance.now() + drainMsMax;
    const isSent = async (): Promise<boolean> =>
      unreceived({ responded, kafka }).length <= (await metricOf(registry, 'tollgate_spool_dropped_total'));
    while (!kafka.isDown && performance.now() < deadline && !(await isSent()))
      await new Promise((resolve) => setTimeout(resolve, 5));
    isSending = false;
    await sending;
    await spool.close();
  }
}

/** Returns the sequence numbers of sent responses that Kafka has not received from any run of the spool. */
export function unreceived({ responded, kafka }: Pick<SpoolNode, 'responded' | 'kafka'>): number[] {
  const received = new Set([...kafka.received.values()].flatMap((numbers) => [...numbers]));
  return [...responded].filter((sequence) => !received.has(sequence));
}

/**
 * Returns the number of missing events that the loss audit would report: gaps within a run, and gaps between the last
 * number of a run and the field `follows` of the next run.
 */
export function missingForAudit({ received }: Kafka): number {
  const runs = [...received].flatMap(([name, numbers]) => {
    const run = readSpoolRun(name);
    return run === null ? [] : [{ ...run, numbers }];
  });
  const folders = Map.groupBy(runs, ({ folder }) => folder);
  return [...folders.values()].reduce((sum, folder) => sum + missingOf(folder), 0);
}

function missingOf(runs: readonly (SpoolRun & { readonly numbers: ReadonlySet<number> })[]): number {
  const ordered = runs.toSorted((a, b) => a.openedAtMs - b.openedAtMs);
  return ordered.reduce((sum, { first, numbers }, index) => {
    const last = Math.max((ordered[index + 1]?.follows ?? 0) - 1, ...numbers);
    return sum + last - first + 1 - numbers.size;
  }, 0);
}
