// Goal: reservations charge and return exactly what their definition states, from any node, and no limit is exceeded.
// Method: random sequences of all calls by one to four limiters with skewed clocks on one Redis, compared step by step with a
// model that keeps a plain list of charges.
import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { RedisClient } from '../../../../shared/redis/client.ts';
import { servers, uniqueName } from '../../../support/servers.ts';
import { connected, limitOf, limiterOn } from '../limiters.ts';
import { compareRemaining, runCommand } from './commands.ts';
import type { Command, World } from './commands.ts';
import { ReservationModel } from './model.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
let redis: RedisClient;
beforeAll(async () => void (redis = await connected(servers().redisUrl)));
afterAll(() => redis.disconnect());

/** Just before midnight UTC, so that the sequences cross the end of an hour, a day and a month. */
const startMs = Date.UTC(2026, 0, 31, 23, 59, 59, 900);

const limitArb = (windowsMs: readonly number[]) =>
  fc.record({
    of: fc.constantFrom('requests', 'a', 'a', 'b'),
    limit: fc.integer({ min: 0, max: 30 }),
    windowMs: fc.constantFrom(...windowsMs),
    per: fc.constantFrom<Limit['per']>(['tenant'], ['user'], ['tenant', 'user'], ['global']),
    mode: fc.constantFrom<Limit['mode']>('enforce', 'enforce', 'enforce', 'shadow'),
    isQuota: fc.nat({ max: 3 }).map((roll) => roll === 0),
  });

/** `scale` multiplies amounts: large limits merge charges into entries. */
function commandArb(scale: number): fc.Arbitrary<Command> {
  const by = fc.nat({ max: 3 });
  const id = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5');
  const amount = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 12 * scale }));
  const amounts = { by, id, a: amount, b: amount };
  return fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('check' as const),
        by,
        cost: fc.integer({ min: 1, max: 3 }),
        a: amount,
        b: amount,
      }),
    },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('reserve' as const), ...amounts }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('extend' as const), ...amounts }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('settle' as const), ...amounts }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('race' as const), ...amounts }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('repeat' as const), ...amounts }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), by, id }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const), by }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), by }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('wait' as const),
        ms: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 130 }), fc.constantFrom(49, 50, 119, 120, 640, 6_400)),
      }),
    },
  );
}

const skewsArb = fc.array(fc.integer({ min: -1_500_000, max: 1_500_000 }), { minLength: 1, maxLength: 4 });

test(
  'reserving, extending, settling and cancelling charge exactly what is reserved and settled, from any node',
  { timeout: 3_600_000 },
  async () => {
    const command = commandArb(1);
    await walk('exact windows', {
      command,
      windowsMs: [1, 7, 50, 120],
      numRuns: long ? 2_000 : 40,
      exact: true,
    });
  },
);

test(
  'above 1,000 units no window ever holds more than its limit of reserved and settled amounts',
  { timeout: 3_600_000 },
  async () => {
    const command = commandArb(100);
    await walk('large windows', {
      command,
      scale: 100,
      windowsMs: [50, 640, 6_400],
      numRuns: long ? 1_000 : 20,
    });
  },
);

test(
  'after the clock of Redis is set back no window ever holds more than its limit, and no unit of another call is returned',
  { timeout: 3_600_000 },
  async () => {
    const back = fc.record({
      kind: fc.constant('setBack' as const),
      ms: fc.constantFrom(1, 49, 300, 1_000, 1_001, 5_000),
    });
    const command = fc.oneof({ weight: 12, arbitrary: commandArb(1) }, { weight: 1, arbitrary: back });
    await walk('clock set back', { command, windowsMs: [7, 50, 120, 6_400], numRuns: long ? 1_000 : 15 });
  },
);

interface Walk {
  readonly command: fc.Arbitrary<Command>;
  readonly windowsMs: readonly number[];
  readonly numRuns: number;
  /** Multiplies the limits of quantities other than requests. */
  readonly scale?: number;
  readonly exact?: boolean;
}

async function walk(
  title: string,
  { command, windowsMs, numRuns, scale = 1, exact = false }: Walk,
): Promise<void> {
  const seed = Date.now() % 1_000_000;
  console.log(`reservations, ${title}: fast-check seed ${seed}, ${numRuns} runs`);
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(limitArb(windowsMs), { minLength: 1, maxLength: 4 }),
      skewsArb,
      fc.array(command, { minLength: 1, maxLength: long ? 200 : 50, size: 'max' }),
      async (arbs, skewsMs, commands) => {
        const world = createWorld(
          limitsOf(arbs, { scale, exact, withQuotas: exact || scale > 1 }),
          skewsMs,
          exact,
        );
        for (const next of commands) {
          await runCommand(world, next);
          await compareRemaining(world, steps);
          steps += 1;
        }
        await Promise.all(world.limiters.map((limiter) => limiter.close()));
      },
    ),
    { seed, numRuns },
  );
  console.log(`reservations, ${title}: ${steps} steps`);
}

type LimitArb = ReturnType<typeof limitArb> extends fc.Arbitrary<infer Value> ? Value : never;

/** Where decisions may be stricter than the model, a shadow window may have no room and then stays without a charge. */
function limitsOf(
  arbs: readonly LimitArb[],
  { scale, exact, withQuotas }: { scale: number; exact: boolean; withQuotas: boolean },
): Limit[] {
  return arbs.map(({ isQuota, limit, ...rest }, index) =>
    limitOf({
      ...{ ...rest, name: `l${index}`, limit: rest.of === 'requests' ? limit : limit * scale },
      ...(exact ? {} : { mode: 'enforce' }),
      ...(isQuota && withQuotas ? { type: 'quota', period: 'hour', windowMs: 3_600_000 } : {}),
    }),
  );
}

function createWorld(limits: readonly Limit[], skewsMs: readonly number[], exact: boolean): World {
  const prefix = uniqueName('walk');
  const model = new ReservationModel(limits);
  const world: World = {
    model,
    limits,
    limiters: [],
    handles: new Map(),
    nowMs: startMs,
    offsetMs: 0,
    exact,
  };
  const limiters = skewsMs.map((skewMs) =>
    limiterOn(redis, prefix, {
      clock: { now: () => world.nowMs + skewMs },
      redisTime: { now: () => world.nowMs + world.offsetMs },
    }),
  );
  return Object.assign(world, { limiters });
}
