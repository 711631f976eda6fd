// Goal: after any crash, pause or repeated delivery, the totals are exactly the totals of the sent events. Method: run
// the real aggregator over a model of the log and the store. A scheduler selects the worker that makes the next step,
// crashes workers, starts new workers, and resumes old workers (zombies), also after everything was committed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messageOf } from './model-log.ts';
import type { Sent } from './model-log.ts';
import { createModel } from './model.ts';
import type { Flaw } from './model.ts';

const id = fc.nat({ max: 5 });
const minute = fc.constantFrom(0, 1, 59, 60, 1500);
const sent: fc.Arbitrary<Sent> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('request' as const),
      id,
      minute: fc.constant(0),
      limited: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('meter' as const),
      id,
      minute,
      units: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('amend' as const),
      id,
      units: fc.integer({ min: 10, max: 99 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('void' as const), id }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('reserve' as const), id }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      id,
      tokens: fc.integer({ min: 0, max: 200 }),
      number: fc.nat({ max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'broken' as const }) },
);

/** The next action of the scheduler: the next step of a worker, a crash of a worker, or a new worker. */
const move = fc.record({
  what: fc.oneof(
    { weight: 12, arbitrary: fc.constant('go' as const) },
    fc.constantFrom('crash' as const, 'start' as const),
  ),
  which: fc.nat({ max: 1_000 }),
});

const shape = {
  log: fc.array(sent, { minLength: 1, maxLength: 12 }),
  blockSize: fc.integer({ min: 1, max: 5 }),
  moves: fc.array(move, { maxLength: 120 }),
  ends: fc.array(fc.nat({ max: 1_000 }), { minLength: 10, maxLength: 10 }),
};
const scenario = fc.record(shape);
type Scenario = typeof scenario extends fc.Arbitrary<infer Value> ? Value : never;

/** A correction that is in another block than its event, which is later. */
const overtaken = fc.record({
  ...shape,
  log: fc.constant<Sent[]>([
    { kind: 'amend', id: 0, units: 50 },
    { kind: 'meter', id: 1, minute: 0, units: 1 },
    { kind: 'meter', id: 0, minute: 0, units: 2 },
  ]),
  blockSize: fc.constant(1),
});

describe('the protocol', () => {
  test('the totals of every level end equal to the distinct events, also when zombies resume afterwards', async () => {
    await fc.assert(property('none'), {
      numRuns: Number(process.env['RUNS'] ?? 500),
      seed: Number(process.env['SEED'] ?? 20261121),
    });
  });

  test('a correction before its event is applied once, after any crash', async () => {
    await fc.assert(property('none', overtaken), { numRuns: 200, seed: 7 });
    const found = await fc.check(property('commit past waiting corrections', overtaken), {
      numRuns: 1_000,
      seed: 7,
      endOnFailure: true,
    });
    expect(found.failed).toBe(true);
  });

  test.each(['commit first', 'versions by clock', 'derive before insert'] as const)(
    'the model detects a deliberate defect: %s',
    async (flaw) => {
      const found = await fc.check(property(flaw), { numRuns: 3_000, seed: 7, endOnFailure: true });
      expect(found.failed).toBe(true);
    },
  );
});

function property(flaw: Flaw, from: fc.Arbitrary<Scenario> = scenario) {
  return fc.asyncProperty(from, async ({ log, blockSize, moves, ends }) => {
    const model = createModel(log.map(messageOf), flaw);
    model.startWorker(blockSize);
    await settled();
    for (const { what, which } of moves) {
      if (what === 'start') model.startWorker(1 + (which % 5));
      const [chosen] =
        what === 'start' ? [] : model.waiting.splice(which % Math.max(1, model.waiting.length), 1);
      if (what === 'crash') chosen?.crash();
      else chosen?.go();
      await settled();
    }
    await finish(model, blockSize, ends);
    expect(stateOf(model)).toEqual(expectedOf(log));
  });
}

/**
 * One worker reads to the end without a fault. After that, the remaining zombies resume for some steps, in any order.
 */
async function finish(
  model: ReturnType<typeof createModel>,
  blockSize: number,
  ends: readonly number[],
): Promise<void> {
  const zombies = model.waiting.splice(0);
  model.startWorker(blockSize);
  await settled();
  while (model.waiting.length > 0) {
    model.waiting.shift()?.go();
    await settled();
  }
  model.waiting.push(...zombies);
  for (let turn = 0; model.waiting.length > 0; turn += 1) {
    const choice = ends[turn % ends.length] ?? 0;
    const [chosen] = model.waiting.splice(choice % model.waiting.length, 1);
    // A zombie runs for some steps only: if it ran to its end, it would compute all totals again and hide its damage.
    if (choice % 3 === 0) chosen?.crash();
    else chosen?.go();
    await settled();
  }
}

interface State {
  readonly requests: readonly number[];
  readonly units: readonly number[];
  readonly tokens: readonly number[];
  readonly reserved: readonly number[];
  readonly deadOffsets: readonly number[];
}

function stateOf({ store, deadOffsets }: ReturnType<typeof createModel>): State {
  const live = [...store.events.values()].filter(({ voided }) => !voided);
  const sums = store.levels.map((level) => [...level.values()]);
  const tokensOf = ({ usage }: (typeof live)[number]): number =>
    Number(usage.quantities['tokens'] ?? 0n) / 1e12;
  const open = live.filter(({ usage }) => usage.reservation === 'open');
  return {
    tokens: [
      live.reduce((sum, event) => sum + tokensOf(event), 0),
      ...sums.map((cells) => cells.reduce((sum, { tokens }) => sum + tokens, 0)),
    ],
    reserved: [
      open.reduce((sum, event) => sum + tokensOf(event), 0),
      ...sums.map((cells) => cells.reduce((sum, { reserved }) => sum + reserved, 0)),
    ],
    requests: [live.length, ...sums.map((cells) => cells.reduce((sum, { requests }) => sum + requests, 0))],
    units: [
      live.reduce((sum, { units }) => sum + units, 0),
      ...sums.map((cells) => cells.reduce((sum, { units }) => sum + units, 0)),
    ],
    deadOffsets: [...deadOffsets].sort((a, b) => a - b),
  };
}

/**
 * Returns the result of reading all records once, in order and without a fault. A correction that is earlier in the log
 * than its event is applied directly after the event, and is a dead letter if there is no event.
 */
function expectedOf(log: readonly Sent[]): State {
  const events = new Map<string, number>();
  const known = new Set<string>();
  const calls = new Map<number, { tokens: number; number: number; open: boolean }>();
  const early = new Map<string, { readonly item: Sent; readonly offset: number }[]>();
  const deadOffsets: number[] = [];
  log.forEach((item, offset) => {
    if (item.kind === 'broken') deadOffsets.push(offset);
    if (item.kind === 'request') events.set(`r${item.id}`, 1);
    if (item.kind === 'reserve' && !calls.has(item.id)) {
      calls.set(item.id, { tokens: 100, number: 0, open: true });
      applyEarly(`c${item.id}`);
    }
    if (item.kind === 'meter' && !known.has(`m${item.id}`)) {
      known.add(`m${item.id}`);
      events.set(`m${item.id}`, item.units);
      applyEarly(`m${item.id}`);
    }
    correct(item, offset);
  });
  for (const waiting of early.values()) deadOffsets.push(...waiting.map(({ offset }) => offset));
  const units = [...events.values()].reduce((sum, value) => sum + value, calls.size);
  const tokens = [...calls.values()].reduce((sum, call) => sum + call.tokens, 0);
  const reserved = [...calls.values()].reduce((sum, call) => sum + (call.open ? call.tokens : 0), 0);
  const onEachLevel = (value: number): number[] => Array<number>(4).fill(value);
  return {
    requests: onEachLevel(events.size + calls.size),
    units: onEachLevel(units),
    tokens: onEachLevel(tokens),
    reserved: onEachLevel(reserved),
    deadOffsets: deadOffsets.sort((a, b) => a - b),
  };

  function applyEarly(name: string): void {
    const waiting = early.get(name) ?? [];
    early.delete(name);
    for (const { item, offset } of waiting) correct(item, offset);
  }

  function correct(item: Sent, offset: number): void {
    if (item.kind === 'settle') {
      const call = calls.get(item.id);
      // A settlement without a number counts by the order of the log.
      if (call === undefined) wait(`c${item.id}`, item, offset);
      else if (item.number === 0 || item.number >= call.number) {
        Object.assign(call, { tokens: item.tokens, number: Math.max(item.number, call.number), open: false });
      }
    }
    if (item.kind !== 'amend' && item.kind !== 'void') return;
    if (!known.has(`m${item.id}`)) wait(`m${item.id}`, item, offset);
    else if (item.kind === 'void') events.delete(`m${item.id}`);
    else events.set(`m${item.id}`, item.units);
  }

  function wait(name: string, item: Sent, offset: number): void {
    early.set(name, [...(early.get(name) ?? []), { item, offset }]);
  }
}

/**
 * Resolves when every worker waits for the scheduler again: after one event-loop iteration for each record of a block,
 * and one more.
 */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
