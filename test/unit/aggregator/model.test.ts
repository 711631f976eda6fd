// Goal: after any crash, pause or repeated delivery, the totals are exactly the totals of the sent events. Method: run
// the real aggregator over a model of the log and the store. A scheduler selects the worker that makes the next step,
// crashes workers, starts new workers, and resumes old workers (zombies), also after everything was committed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { messagesOf } from './model-log.ts';
import type { Sent } from './model-log.ts';
import { expectedOf } from './model-outcome.ts';
import type { State } from './model-outcome.ts';
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
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('copy' as const), of: fc.nat(), isPublished: fc.boolean() }),
  },
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
  log: fc.array(sent, { minLength: 1, maxLength: 12 }).map(withoutFirstCopy),
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

/** Corrections of two events, which gateways send again or clients publish again. */
const resent = fc.record({
  ...shape,
  log: fc
    .array(
      fc.oneof(
        fc.record({
          kind: fc.constant('meter' as const),
          id: fc.nat({ max: 1 }),
          minute: fc.constant(0),
          units: fc.constant(1),
        }),
        fc.record({
          kind: fc.constant('amend' as const),
          id: fc.nat({ max: 1 }),
          units: fc.integer({ min: 10, max: 99 }),
          isOfGateway: fc.boolean(),
          isResent: fc.boolean(),
        }),
        fc.record({ kind: fc.constant('copy' as const), of: fc.nat(), isPublished: fc.boolean() }),
      ),
      { minLength: 1, maxLength: 10 },
    )
    .map(withoutFirstCopy),
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

  test('corrections that gateways or clients send again change nothing, after any crash and second read', async () => {
    await fc.assert(property('none', resent), {
      numRuns: Number(process.env['RUNS'] ?? 500),
      seed: Number(process.env['SEED'] ?? 20261127),
    });
    for (const flaw of ['corrections are not noted', 'a correction is a repeat of itself'] as const) {
      const found = await fc.check(property(flaw, resent), { numRuns: 3_000, seed: 7, endOnFailure: true });
      expect(found.failed, flaw).toBe(true);
    }
    const unmarked = await fc.check(property('none', resent, { areMarked: false }), {
      numRuns: 1_000,
      seed: 7,
      endOnFailure: true,
    });
    expect(unmarked.failed).toBe(true);
  });

  test.each(['commit first', 'versions by clock', 'derive before insert'] as const)(
    'the model detects a deliberate defect: %s',
    async (flaw) => {
      const found = await fc.check(property(flaw), { numRuns: 3_000, seed: 7, endOnFailure: true });
      expect(found.failed).toBe(true);
    },
  );
});

function property(flaw: Flaw, from: fc.Arbitrary<Scenario> = scenario, marks = { areMarked: true }) {
  return fc.asyncProperty(from, async ({ log, blockSize, moves, ends }) => {
    const model = createModel(messagesOf(log, marks), flaw);
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

/** No record is before the first one, so it cannot be a copy. */
function withoutFirstCopy(log: Sent[]): Sent[] {
  return log.map((item, offset) => (offset === 0 && item.kind === 'copy' ? { kind: 'broken' } : item));
}

/**
 * Resolves when every worker waits for the scheduler again: after one event-loop iteration for each record of a block,
 * and one more.
 */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
