// Goal: after any crash, pause or repeated delivery, the totals are exactly the totals of the sent events. Method: run
// the real aggregator over a model of the log and the store. A scheduler selects the worker that makes the next step,
// crashes workers, starts new workers, and resumes old workers (zombies), also after everything was committed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { amendEventType, voidEventType } from '../../../shared/domain/events/correction.ts';
import type { ConsumedMessage } from '../../../shared/kafka/message.ts';
import { createModel, nowMs } from './model.ts';
import type { Flaw } from './model.ts';

type Sent =
  | { readonly kind: 'request'; readonly id: number; readonly minute: number; readonly limited: boolean }
  | { readonly kind: 'meter'; readonly id: number; readonly minute: number; readonly units: number }
  | { readonly kind: 'amend'; readonly id: number; readonly units: number }
  | { readonly kind: 'void'; readonly id: number }
  | { readonly kind: 'broken' };

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

const scenario = fc.record({
  log: fc.array(sent, { minLength: 1, maxLength: 12 }),
  blockSize: fc.integer({ min: 1, max: 5 }),
  moves: fc.array(move, { maxLength: 120 }),
  ends: fc.array(fc.nat({ max: 1_000 }), { minLength: 10, maxLength: 10 }),
});

describe('the protocol', () => {
  test('the totals of every level end equal to the distinct events, also when zombies resume afterwards', async () => {
    await fc.assert(property('none'), {
      numRuns: Number(process.env['RUNS'] ?? 500),
      seed: Number(process.env['SEED'] ?? 20261121),
    });
  });

  test.each(['commit first', 'versions by clock', 'derive before insert'] as const)(
    'the model detects a deliberate defect: %s',
    async (flaw) => {
      const found = await fc.check(property(flaw), { numRuns: 3_000, seed: 7, endOnFailure: true });
      expect(found.failed).toBe(true);
    },
  );
});

function property(flaw: Flaw) {
  return fc.asyncProperty(scenario, async ({ log, blockSize, moves, ends }) => {
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
  readonly deadOffsets: readonly number[];
}

function stateOf({ store, deadOffsets }: ReturnType<typeof createModel>): State {
  const live = [...store.events.values()].filter(({ voided }) => !voided);
  const sums = store.levels.map((level) => [...level.values()]);
  return {
    requests: [live.length, ...sums.map((cells) => cells.reduce((sum, { requests }) => sum + requests, 0))],
    units: [
      live.reduce((sum, { units }) => sum + units, 0),
      ...sums.map((cells) => cells.reduce((sum, { units }) => sum + units, 0)),
    ],
    deadOffsets: [...deadOffsets].sort((a, b) => a - b),
  };
}

/** Returns the result of reading all records once, in order and without a fault. */
function expectedOf(log: readonly Sent[]): State {
  const events = new Map<string, number>();
  const known = new Set<string>();
  const deadOffsets: number[] = [];
  log.forEach((item, offset) => {
    if (item.kind === 'broken') deadOffsets.push(offset);
    if (item.kind === 'request') events.set(`r${item.id}`, 1);
    if (item.kind === 'meter' && !known.has(`m${item.id}`)) {
      known.add(`m${item.id}`);
      events.set(`m${item.id}`, item.units);
    }
    if (item.kind !== 'amend' && item.kind !== 'void') return;
    if (!known.has(`m${item.id}`)) deadOffsets.push(offset);
    else if (item.kind === 'void') events.delete(`m${item.id}`);
    else events.set(`m${item.id}`, item.units);
  });
  const units = [...events.values()].reduce((sum, value) => sum + value, 0);
  return { requests: Array<number>(4).fill(events.size), units: Array<number>(4).fill(units), deadOffsets };
}

function messageOf(item: Sent, offset: number): ConsumedMessage {
  const place = { topic: 'usage', partition: 0, offset, key: 'acme', headers: {}, timestampMs: nowMs };
  const time = (minutes: number): string => new Date(nowMs - minutes * 60_000).toISOString();
  const envelope = { specversion: '1.0', subject: 'acme', source: 'app', time: time(0) };
  const json = (event: object): ConsumedMessage => ({
    ...place,
    value: Buffer.from(JSON.stringify({ ...envelope, ...event })),
  });
  switch (item.kind) {
    case 'broken':
      return { ...place, value: Buffer.from('{') };
    case 'meter':
      return json({
        id: `meter-${item.id}`,
        type: 'tokens',
        time: time(item.minute),
        data: { units: item.units },
      });
    case 'amend':
      return json({
        id: `fix-${offset}`,
        type: amendEventType,
        data: { event_id: `meter-${item.id}`, units: item.units },
      });
    case 'void':
      return json({ id: `fix-${offset}`, type: voidEventType, data: { event_id: `meter-${item.id}` } });
    case 'request':
      return json(requestOf(item.id, time(item.id)));
  }
}

/** The event of a request. A repeat of the event is identical: the gateway sets id, time and content once. */
function requestOf(number: number, time: string): object {
  const stamp = Date.parse(time).toString(16).padStart(12, '0');
  return {
    id: `${stamp.slice(0, 8)}-${stamp.slice(8)}-7000-8000-00000000000${number}`,
    source: 'tollgate/n',
    type: 'tollgate.request.v1',
    time,
    data: {
      ...{
        user_id: '',
        plan: 'pro',
        method: 'GET',
        route: '*',
        path: '/',
        status: 200,
        limited_by: [],
        units: 1,
        cost: 0,
      },
      ...{
        latency_ms: 1,
        check_us: 1,
        node: 'n',
        sequence: number,
        degraded: false,
        client_ip: '',
        service: '',
      },
      ...{ entrypoint: 'proxy', decision: number % 2 === 0 ? 'allowed' : 'limited' },
    },
  };
}

/**
 * Resolves when every worker waits for the scheduler again: after one event-loop iteration for each piece of a block,
 * and one more.
 */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
