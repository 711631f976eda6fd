import { createAggregator } from '../../../services/aggregator/aggregator.ts';
import type { RejectedMessage } from '../../../shared/kafka/consumer/handling.ts';
import { createWaitingCorrections } from '../../../services/aggregator/corrections/waiting-corrections.ts';
import { decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import type { StoredCorrection } from '../../../services/aggregator/events/decode.ts';
import type { EventChunk } from '../../../services/aggregator/events/event-chunk.ts';
import type { EventStore, FirstPlace } from '../../../services/aggregator/events/event-store.ts';
import { aggregatorMetrics } from '../../../services/aggregator/metrics.ts';
import type { StoredEvent } from '../../../services/aggregator/events/stored-event.ts';
import { runStages } from '../../../shared/kafka/consumer/stages.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { Registry } from 'prom-client';

/** Deliberate defects of the protocol, to show that the model detects them. */
export type Flaw =
  | 'none'
  | 'commit first'
  | 'commit past waiting corrections'
  | 'versions by clock'
  | 'derive before insert'
  | 'corrections are not noted'
  | 'a correction is a repeat of itself';

/** A step of a worker that waits for the scheduler: it may continue now, much later, or never. A crash ends all steps of the worker. */
interface Waiting {
  readonly worker: number;
  readonly go: () => void;
  readonly crash: () => void;
}

/**
 * A model with one partition, one store, and several workers. Only the newest worker may commit; the others are
 * zombies, which continue until they are crashed. Every external call of the aggregator waits for the scheduler, before
 * and after its effect.
 */
export function createModel(log: readonly ConsumedMessage[], flaw: Flaw) {
  const waiting: Waiting[] = [];
  const store = createStoreModel(flaw);
  const deadOffsets = new Set<number>();
  const crashed = new Set<number>();
  let committed = 0;
  let generation = 0;

  return { waiting, store, deadOffsets, startWorker, committed: () => committed };

  /**
   * Simulates a rebalance: a new worker reads the partition from the committed offset, whatever the old worker does.
   */
  function startWorker(blockSize: number): void {
    generation += 1;
    void work(generation, blockSize);
  }

  async function work(worker: number, blockSize: number): Promise<void> {
    const step = async <Result>(effect: () => Result): Promise<Result> => {
      await scheduled(worker);
      const result = effect();
      await scheduled(worker);
      return result;
    };
    let isAtEnd = false;
    const waitingCorrections = createWaitingCorrections({
      waitMs: 1_000,
      now: () => (isAtEnd ? Infinity : 0),
    });
    const aggregator = createAggregator({
      waiting: waitingCorrections,
      store: store.seenBy(step),
      announcer: { announce: () => step(() => undefined) },
      progress: { sample: noSample, advance: noop, restore: noop, of: noProgress, all: () => [] },
      writeDeadLetters: (letters: readonly RejectedMessage[]) =>
        step(() => {
          for (const { message } of letters) deadOffsets.add(message.offset);
        }),
      clock: { now: () => nowMs },
      bounds: decodeBoundsDefault,
      metrics: aggregatorMetrics(new Registry()),
      pieceRecordsMax: 2,
      chunkRecordsMax: 1,
    });
    const commit = (offset: number) =>
      step(() => {
        if (worker === generation) committed = Math.max(committed, offset);
      });
    // The stages of a worker run at the same time, as in a process. A crash ends all of them.
    const stages = runStages({
      later: aggregator.later,
      handleAgain: () => Promise.resolve(false),
      openBlocksMax: Infinity,
      isBehind: () => false,
      onIdle: () => undefined,
      isCurrent: () => true,
      onFailure(error) {
        throw error;
      },
      noteProgress: noop,
      onAbandoned: noop,
      commit: async (blocks) => {
        const offset = blocks.at(-1)?.offsets[0]?.offset ?? 0;
        const held = flaw === 'commit past waiting corrections' ? null : waitingCorrections.heldFrom(0);
        if (flaw !== 'commit first') await commit(Math.min(offset, held ?? Infinity));
      },
      closing: new AbortController().signal,
    });
    for (let position = committed; position < log.length; position += blockSize) {
      await handle(log.slice(position, position + blockSize), position);
    }
    // No event follows, so the corrections that wait become dead letters.
    isAtEnd = true;
    waitingCorrections.noteReadToEnd(0, Infinity);
    await handle([], log.length);
    await stages.end();

    async function handle(messages: readonly ConsumedMessage[], position: number): Promise<void> {
      const offset = position + messages.length;
      if (flaw === 'commit first') await commit(offset);
      const stored = await aggregator.begin({ messages, isPart: false });
      const offsets = [{ topic: 'usage', partition: 0, offset }];
      stages.add({ block: { messages, unreadable: [], offsets, generation: 0 }, works: [stored] });
    }
  }

  /** The next step of a worker. It never happens if the worker crashes before it. */
  function scheduled(worker: number): Promise<void> {
    return new Promise((go) => {
      if (crashed.has(worker)) return;
      waiting.push({ worker, go, crash: () => crash(worker) });
    });
  }

  function crash(worker: number): void {
    crashed.add(worker);
    const others = waiting.filter((one) => one.worker !== worker);
    waiting.splice(0, waiting.length, ...others);
  }
}

export const nowMs = Date.UTC(2026, 10, 21, 12, 0, 30);

type Step = <Result>(effect: () => Result) => Promise<Result>;

interface Cell {
  readonly requests: number;
  readonly units: number;
  /** Tokens that quotas count, and the part of them that belongs to open reservations. */
  readonly tokens: number;
  readonly reserved: number;
  readonly version: number;
}

/** Tables that keep, for each key, the row with the highest version, as a query with FINAL returns it. */
export function createStoreModel(flaw: Flaw) {
  const events = new Map<string, StoredEvent>();
  const ids: FirstPlace[] = [];
  const corrections: StoredCorrection[] = [];
  const levels = [new Map<string, Cell>(), new Map<string, Cell>(), new Map<string, Cell>()] as const;
  let clock = 0;

  return { events, levels, seenBy };

  function seenBy(step: Step): EventStore {
    const insert = (chunks: readonly EventChunk[]) =>
      step(() => {
        for (const event of chunks.flatMap(({ events: eventsOf }) => eventsOf())) {
          const key = `${event.tenantId} ${event.timeMs} ${event.idA} ${event.idB}`;
          const known = events.get(key);
          if (known === undefined || event.revision >= known.revision) events.set(key, event);
        }
        return [];
      });
    const derive = async (hasRegrouped: boolean) => {
      // The snapshot is read and written at different moments, so other workers may act between the two.
      await replace(levels[0], await step(() => readMinutes(hasRegrouped)), step);
      await replace(levels[1], await step(() => readAbove(levels[0], 'minute')), step);
      await replace(levels[2], await step(() => readAbove(levels[1], 'hour')), step);
    };
    let early: readonly EventChunk[] = [];
    return {
      firstPlaces: (keys) => step(() => ids.filter(({ key }) => keys.includes(key))),
      storeFirstPlaces: (firstPlaces) => step(() => void ids.push(...firstPlaces)),
      findEvents: (wanted) =>
        step(() =>
          [...events.values()].filter((event) =>
            wanted.some(
              ({ tenantId, idA, idB, fromMs, toMs }) =>
                event.tenantId === tenantId &&
                event.idA === idA &&
                event.idB === idB &&
                event.timeMs >= fromMs &&
                event.timeMs <= toMs,
            ),
          ),
        ),
      insert: (block) => {
        early = [...early, ...block];
        return flaw === 'derive before insert' ? Promise.resolve([]) : insert(block);
      },
      findCorrections: (wanted) =>
        step(() => {
          const found = corrections.filter(({ sequence }) => wanted.some((one) => one.sequence === sequence));
          return flaw === 'a correction is a repeat of itself'
            ? found.map((one) => ({ ...one, offset: -1 }))
            : found;
        }),
      noteCorrections: (noted) =>
        step(() => {
          if (flaw === 'corrections are not noted') return;
          corrections.push(...noted);
          ids.push(...noted.flatMap(({ key, ...place }) => (key === null ? [] : [{ key, ...place }])));
        }),
      derive: async ({ hasRegrouped }) => {
        await derive(hasRegrouped);
        if (flaw === 'derive before insert') await insert(early);
      },
    };
  }

  /** As in ClickHouse, the version of a group is that of its minute, and regrouped events leave a group of zeros. */
  function readMinutes(hasRegrouped: boolean): Map<string, Cell> {
    const cells = new Map<string, Cell>();
    const versions = new Map<number, number>();
    for (const { tenantId, timeMs, decision, units, voided, revision, usage } of events.values()) {
      const minute = Math.floor(timeMs / 60_000);
      versions.set(minute, (versions.get(minute) ?? 0) + 1 + revision);
      const tokens = voided ? 0 : Number(usage.quantities['tokens'] ?? 0n) / 1e12;
      add(cells, `${tenantId}|${decision}|${minute}|${usage.model}`, {
        requests: voided ? 0 : 1,
        units: voided ? 0 : units,
        tokens,
        reserved: usage.reservation === 'open' ? tokens : 0,
        version: 0,
      });
      if (hasRegrouped && revision > 0 && usage.model !== '') {
        add(cells, `${tenantId}|${decision}|${minute}|`, { ...zero, version: 0 });
      }
    }
    return new Map(
      [...cells].map(([key, cell]) => [
        key,
        { ...cell, version: versions.get(Number(key.split('|')[2])) ?? 0 },
      ]),
    );
  }

  function readAbove(below: ReadonlyMap<string, Cell>, unit: 'minute' | 'hour'): Map<string, Cell> {
    const cells = new Map<string, Cell>();
    for (const [key, cell] of below) {
      const [tenant, decision, start, model] = key.split('|');
      const startOfNext = Math.floor(Number(start) / (unit === 'minute' ? 60 : 24));
      add(cells, `${tenant}|${decision}|${startOfNext}|${model}`, cell);
    }
    return cells;
  }

  async function replace(
    level: Map<string, Cell>,
    cells: ReadonlyMap<string, Cell>,
    step: Step,
  ): Promise<void> {
    await step(() => {
      clock += 1;
      for (const [key, cell] of cells) {
        const version = flaw === 'versions by clock' ? clock : cell.version;
        const known = level.get(key);
        if (known === undefined || version >= known.version) level.set(key, { ...cell, version });
      }
    });
  }
}

const zero: Omit<Cell, 'version'> = { requests: 0, units: 0, tokens: 0, reserved: 0 };

function add(cells: Map<string, Cell>, key: string, more: Cell): void {
  const { requests, units, tokens, reserved, version } = cells.get(key) ?? { ...zero, version: 0 };
  cells.set(key, {
    requests: requests + more.requests,
    units: units + more.units,
    tokens: tokens + more.tokens,
    reserved: reserved + more.reserved,
    version: version + more.version,
  });
}

function noop(): void {
  return;
}

function noSample(): Promise<void> {
  return Promise.resolve();
}

function noProgress(partition: number): { partition: number; completeThroughMs: number; offset: number } {
  return { partition, completeThroughMs: 0, offset: 0 };
}
