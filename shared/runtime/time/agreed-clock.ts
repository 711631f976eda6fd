import { setTimeout as wait } from 'node:timers/promises';
import { Gauge } from 'prom-client';
import { agreeOnTime } from './agree-on-time.ts';
import type { ClockReading } from './agree-on-time.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { messageOf } from '../errors.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import type { Registry } from '../http/ops.ts';
import { within } from '../within.ts';

/** The clock of a server, with which this node compares its own clock. */
export interface ClockSource {
  readonly name: string;
  /** Returns Unix milliseconds. Rejects when the server does not respond. */
  readonly read: () => Promise<number>;
}

/**
 * The time on which most clocks agree: the clock of this node and the clocks of the servers it uses. Between two
 * comparisons the time advances with the monotonic clock. So a change of the node's clock, right or wrong, has no
 * effect until the servers confirm it.
 */
export interface AgreedClock extends Clock {
  /**
   * Compares the clocks at once and then regularly. `sources` is in order of trust, which decides between groups of
   * equal size; the node itself comes first.
   */
  compareWith(sources: readonly ClockSource[]): void;
  /** True once two clocks have agreed since the start. */
  agreed(): boolean;
  /** Resolves when two clocks have agreed, or after `waitMsMax`. */
  untilAgreed(waitMsMax: number): Promise<void>;
  /** Warnings for an operator, as text: clocks that disagree, and servers that do not respond. */
  notes(): readonly string[];
}

export interface AgreedClockOptions {
  readonly registry: Registry;
  readonly logger: Logger;
  readonly lifecycle: Pick<Lifecycle, 'onClose'>;
  readonly own?: Clock;
  readonly intervalMs?: number;
}

const readTimeoutMs = 2_000;
/** Interval of the comparisons while no two clocks agree, or while a clock cannot be read. */
const undecidedIntervalMs = 1_000;
/** Differences up to this bound are ignored: the network delay of a reading may cause them. */
const jitterMs = 50;
/**
 * Number of failed comparisons in a row before a failure is logged. The first comparison after a start may come before
 * the connections are open.
 */
const patience = 2;
const lookMs = 25;
const nodeName = 'node';

export function createAgreedClock(options: AgreedClockOptions): AgreedClock {
  const { logger, own = systemClock, intervalMs = 5_000 } = options;
  const metric = createMetric(options.registry);
  let baseMs = own.now() - performance.now();
  let wrong: readonly string[] = [];
  let note = '';
  let said = '';
  let undecided = 0;
  const failures = new Map<string, number>();
  /** By server: why its clock could not be read. */
  const unread = new Map<string, string>();
  let agreed = false;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let comparing: Promise<void> = Promise.resolve();
  options.lifecycle.onClose('clock', close);
  return {
    now: () => Math.floor(performance.now() + baseMs),
    compareWith: (sources) => void (comparing = compare(sources)),
    agreed: () => agreed,
    untilAgreed: async (waitMsMax) => {
      const deadline = performance.now() + waitMsMax;
      while (!agreed && performance.now() < deadline) await wait(lookMs);
    },
    notes: () => [...(note === '' ? [] : [note]), ...unread.values()],
  };

  async function close(): Promise<void> {
    closed = true;
    clearTimeout(timer);
    await comparing;
  }

  async function compare(sources: readonly ClockSource[]): Promise<void> {
    const read = await Promise.all(sources.map((source) => readingOf(source)));
    const node = { name: nodeName, baseMs: own.now() - performance.now() };
    const readings = [node, ...read.filter((reading) => reading !== null)];
    const { believed, agreeing, wrong: disagreeing } = agreeOnTime(readings, wrong);
    // While no two clocks agree, the last agreed time continues, also if the node's own clock was set meanwhile.
    if (believed !== null && Math.abs(believed.baseMs - baseMs) > jitterMs) baseMs = believed.baseMs;
    if (believed?.name === nodeName) baseMs = believed.baseMs;
    wrong = believed === null ? wrong : disagreeing;
    // A disagreement is logged once, and again when other clocks disagree. The metric shows the differences.
    undecided = believed === null ? undecided + 1 : 0;
    if (readings.length > 1 && (believed !== null || undecided >= patience)) {
      say(noteOf(readings, agreeing, disagreeing), [believed === null, ...disagreeing].join());
    }
    metric.reset();
    for (const reading of readings) metric.set({ clock: reading.name }, (reading.baseMs - baseMs) / 1000);
    agreed ||= believed !== null;
    if (closed) return;
    const isOpen = believed === null || failures.size > 0;
    const waitMs = isOpen ? Math.min(undecidedIntervalMs, intervalMs) : intervalMs;
    timer = setTimeout(() => void (comparing = compare(sources)), waitMs);
    timer.unref();
  }

  async function readingOf({ name, read }: ClockSource): Promise<ClockReading | null> {
    const beforeMs = performance.now();
    try {
      const atMs = await within(read(), readTimeoutMs, 'CLOCK_UNREADABLE', name);
      if (unread.delete(name)) logger.info(`the clock of ${name} is read again`);
      failures.delete(name);
      return { name, baseMs: atMs - (beforeMs + performance.now()) / 2 };
    } catch (error) {
      const failed = (failures.get(name) ?? 0) + 1;
      failures.set(name, failed);
      if (failed === patience)
        logger.warn({ reason: messageOf(error) }, `the clock of ${name} cannot be read`);
      if (failed >= patience) unread.set(name, `${name} does not say its time: ${messageOf(error)}`);
      return null;
    }
  }

  function say(next: string, state: string): void {
    if (next !== '' ? state !== said : note !== '') {
      if (next === '') logger.info('the clocks agree again');
      else logger.error(next);
    }
    note = next;
    said = next === '' ? '' : state;
  }

  function noteOf(
    readings: readonly ClockReading[],
    agreeing: readonly string[],
    disagreeing: readonly string[],
  ): string {
    if (disagreeing.length === 0) return '';
    const described = readings
      .filter(({ name }) => disagreeing.includes(name))
      .map((reading) => `${reading.name} is ${Math.round((reading.baseMs - baseMs) / 1000)} s off`)
      .join(', ');
    if (agreeing.length === 0) return `clocks: no two agree, the time before is kept (${described})`;
    return `clocks: ${described}; the time of ${agreeing.join(' and ')} is used`;
  }
}

function createMetric(registry: Registry): Gauge<'clock'> {
  return new Gauge({
    name: 'tollgate_clock_difference_seconds',
    help: 'How far a clock is ahead of the time that is used, by clock: of this node and of the servers that answered the last comparison.',
    labelNames: ['clock'],
    registers: [registry],
  });
}
