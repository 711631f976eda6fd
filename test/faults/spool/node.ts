import { pino } from 'pino';
import { Registry } from 'prom-client';
import { openSpool } from '../../../services/gateway/spool/spool.ts';
import type { Spool, SpoolOptions } from '../../../services/gateway/spool/spool.ts';
import { readSpoolRun } from '../../../shared/domain/spool-run.ts';
import type { SpoolRun } from '../../../shared/domain/spool-run.ts';
import type { UsageCloudEvent } from '../../../shared/domain/usage-event.ts';
import { eventOf } from '../../unit/spool/folder.ts';

/** What a gateway does with its events, in this process: requests that are answered, and a sender. */
export interface SpoolNode {
  readonly spool: Spool;
  readonly registry: Registry;
  /** Where the sender brings events to; while `isAway` it takes none. */
  readonly kafka: Kafka;
  /** Numbers of events whose response left. */
  readonly answered: Set<number>;
  /** The longest time in ms that a response waited since the last call. */
  slowestMs(): number;
  /** Ends the traffic; the sender goes on. */
  rest(): Promise<void>;
  /** Ends the traffic, the sender and the spool as a gateway does. */
  stop(): Promise<void>;
}

export interface Kafka {
  isAway: boolean;
  /** Runs by name, each with its numbers. */
  readonly received: Map<string, Set<number>>;
}

export function newKafka(): Kafka {
  return { isAway: false, received: new Map() };
}

const drainMsMax = 1_000;

export interface NodeOptions extends Partial<SpoolOptions> {
  readonly kafka?: Kafka;
  /** Of each event; large ones fill a disk sooner. */
  readonly payloadBytes?: number;
}

/** Opens the spool and answers some requests every few milliseconds. */
export async function startNode(directory: string, options: NodeOptions = {}): Promise<SpoolNode> {
  const { kafka = newKafka(), payloadBytes = 200, ...own } = options;
  const registry = new Registry();
  const clock = { now: () => Date.now() };
  const logger = pino({ level: process.env['LOG_LEVEL'] ?? 'silent' });
  const spool = await openSpool({ directory, clock, registry, logger, segmentBytes: 100_000, ...own });
  const answered = new Set<number>();
  let slowest = 0;
  let isSending = true;
  const answer = async (): Promise<void> => {
    const startedAt = performance.now();
    const sequences = Array.from({ length: 5 }, () =>
      spool.append(eventOf('acme', 'x'.repeat(payloadBytes))),
    );
    await spool.flushed();
    slowest = Math.max(slowest, performance.now() - startedAt);
    for (const sequence of sequences) answered.add(sequence);
  };
  const open = new Set<Promise<void>>();
  const traffic = setInterval(() => {
    const one = answer().finally(() => open.delete(one));
    open.add(one);
  }, 4);
  const sending = send();

  return { spool, registry, kafka, answered, slowestMs, rest, stop };

  async function send(): Promise<void> {
    while (isSending) {
      const records = kafka.isAway ? [] : await spool.readBatch(500, 200_000).catch(() => []);
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

  async function rest(): Promise<void> {
    clearInterval(traffic);
    await Promise.all(open);
  }

  async function stop(): Promise<void> {
    await rest();
    const deadline = performance.now() + drainMsMax;
    while (!kafka.isAway && missing({ answered, kafka }).length > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    isSending = false;
    await sending;
    await spool.close();
  }
}

/** Numbers whose response left and that Kafka has of no run. */
export function missing({ answered, kafka }: Pick<SpoolNode, 'answered' | 'kafka'>): number[] {
  const received = new Set([...kafka.received.values()].flatMap((numbers) => [...numbers]));
  return [...answered].filter((sequence) => !received.has(sequence));
}

/** Numbers that the audit would call missing: gaps of runs, and between a run of a folder and what the next one follows. */
export function auditedMissing({ received }: Kafka): number {
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
