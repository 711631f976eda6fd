import { expect } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import type { Limiter } from '../../../../shared/redis/decision/limiter.ts';
import type { Reservation, SettleResult } from '../../../../shared/redis/reservations/reservation.ts';
import { requestOf } from '../limiters.ts';
import type { ModelReservation, ReservationModel } from './model.ts';

export interface World {
  readonly model: ReservationModel;
  readonly limits: readonly Limit[];
  readonly limiters: readonly Limiter[];
  /** The handles that the limiters hold; lost in a crash. */
  readonly handles: Map<string, Reservation>;
  nowMs: number;
  /** Time of Redis minus `nowMs`. */
  offsetMs: number;
  /** Whether every decision must equal the definition. False: a refusal is allowed where the definition has room. */
  readonly exact: boolean;
}

export type Command =
  | {
      readonly kind: 'check';
      readonly by: number;
      readonly cost: number;
      readonly a: number;
      readonly b: number;
    }
  | {
      readonly kind: 'reserve';
      readonly by: number;
      readonly id: string;
      readonly a: number;
      readonly b: number;
    }
  | {
      readonly kind: 'extend';
      readonly by: number;
      readonly id: string;
      readonly a: number;
      readonly b: number;
    }
  | {
      readonly kind: 'settle';
      readonly by: number;
      readonly id: string;
      readonly a: number;
      readonly b: number;
    }
  | {
      readonly kind: 'race';
      readonly by: number;
      readonly id: string;
      readonly a: number;
      readonly b: number;
    }
  | { readonly kind: 'cancel'; readonly by: number; readonly id: string }
  | {
      readonly kind: 'repeat';
      readonly by: number;
      readonly id: string;
      readonly a: number;
      readonly b: number;
    }
  | { readonly kind: 'crash'; readonly by: number }
  | { readonly kind: 'reset'; readonly by: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'setBack'; readonly ms: number };

const expiresMs = 100;

/** Runs one command on the limiters and on the model, and compares what both report. */
export async function runCommand(world: World, command: Command): Promise<void> {
  if (command.kind === 'wait') {
    world.nowMs += command.ms;
    return;
  }
  if (command.kind === 'setBack') {
    world.offsetMs -= command.ms;
    return;
  }
  const limiter = world.limiters[command.by % world.limiters.length];
  if (limiter === undefined) throw new Error('no limiter');
  switch (command.kind) {
    case 'check':
      return check(world, limiter, command);
    case 'reserve':
      return reserve(world, limiter, command.id, command);
    case 'extend':
      return extend(world, limiter, command.id, command, false);
    case 'repeat':
      return repeat(world, limiter, command.id, command);
    case 'settle':
      return settle(world, limiter, command.id, { a: command.a, b: command.b });
    case 'race':
      return race(world, command.id, command);
    case 'cancel':
      return settle(world, limiter, command.id, null);
    case 'crash':
      world.handles.clear();
      return;
    case 'reset':
      world.model.resets += 1;
      return limiter.reset('acme');
  }
}

/** Compares what all limits have left, and what is used and reserved of them, read by the limiter `by`. */
export async function compareRemaining(
  { model, limiters, limits, nowMs, exact }: World,
  by: number,
): Promise<void> {
  const { states } =
    (await limiters[by % limiters.length]?.check(requestOf(limits, { peek: true, withUse: true }))) ?? {};
  const remaining = states?.map((state) => state.remaining) ?? [];
  const expected = model.remaining(nowMs);
  for (const [index, state] of states?.entries() ?? []) {
    const { used = -1, reserved = -1 } = state.use ?? {};
    expect(Math.max(0, state.limit - used - reserved)).toBe(state.remaining);
    if (exact) {
      const reservedByModel = model.reserved(index, nowMs);
      expect({ used, reserved }).toEqual({
        used: model.used(index, nowMs) - reservedByModel,
        reserved: reservedByModel,
      });
    }
  }
  if (exact) expect(remaining).toEqual(expected);
  else remaining.forEach((units, index) => expect(units).toBeLessThanOrEqual(expected[index] ?? 0));
}

type AB = { readonly a: number; readonly b: number };

async function check(world: World, limiter: Limiter, { cost, a, b }: AB & { cost: number }): Promise<void> {
  const { passed } = await limiter.check(requestOf(world.limits, { cost, amounts: { a, b } }));
  chargeIfPassed(world, passed, { requests: cost, a, b }, 1);
}

/** Charges the model if the limiter passed. A request may only pass if the model has room for it. */
function chargeIfPassed(world: World, passed: boolean, amounts: Record<string, number>, least: 0 | 1) {
  const { model, nowMs, exact } = world;
  const rooms = model.rooms(amounts, least, nowMs);
  if (exact || passed) expect(passed).toBe(model.passes(rooms));
  return passed ? model.charge(amounts, rooms, nowMs) : null;
}

async function reserve(world: World, limiter: Limiter, id: string, { a, b }: AB): Promise<void> {
  const { model } = world;
  const nowMs = world.nowMs + world.offsetMs;
  const reservation = { id, expiresMs, details: `details of ${id}` };
  const result = await limiter.check(requestOf(world.limits, { amounts: { a, b }, reservation }));
  const known = model.byId.get(id);
  if (known !== undefined) {
    const existing = { state: stateOf(known, nowMs), details: `details of ${id}` };
    expect(result).toMatchObject({ passed: true, reason: null, reservation: { existing } });
  } else {
    const charge = chargeIfPassed(world, result.passed, { requests: 1, a, b }, 1);
    expect(result.reservation?.existing).toBe(charge === null ? undefined : null);
    if (charge === null) return;
    const endsAtMs = nowMs + expiresMs;
    model.byId.set(id, { state: 'open', endsAtMs, charges: [charge], extension: 0, settlement: 0 });
  }
  if (result.reservation !== null) world.handles.set(id, result.reservation.handle);
}

function stateOf({ state, endsAtMs }: ModelReservation, nowMs: number): string {
  return state === 'open' && nowMs >= endsAtMs ? 'expired' : state;
}

/** Returns the handle that a limiter holds. After a crash, another limiter finds it by its id. */
async function handleOf(world: World, limiter: Limiter, id: string): Promise<Reservation | null> {
  const held = world.handles.get(id);
  if (held !== undefined) return held;
  const found = await limiter.findReservation('acme', id);
  const known = world.model.byId.get(id);
  if (known === undefined) {
    expect(found).toBeNull();
    return null;
  }
  expect(found).toMatchObject({
    state: stateOf(known, world.nowMs + world.offsetMs),
    details: `details of ${id}`,
    amounts: { a: world.model.charged(known, 'a'), b: world.model.charged(known, 'b') },
  });
  if (found !== null) world.handles.set(id, found.handle);
  return found?.handle ?? null;
}

async function extend(
  world: World,
  limiter: Limiter,
  id: string,
  { a, b }: AB,
  replyIsLost: boolean,
): Promise<void> {
  const handle = await handleOf(world, limiter, id);
  const known = world.model.byId.get(id);
  if (handle === null || known === undefined) return;
  const sequence = known.extension + 1;
  const result = await limiter.extend({ ...handle }, { a, b }, sequence);
  if (known.state !== 'open') expect(result).toMatchObject({ passed: false, reason: 'not_open' });
  else {
    const charge = chargeIfPassed(world, result.passed, { a, b }, 0);
    if (charge !== null) {
      known.charges.push(charge);
      known.extension = sequence;
    }
  }
  if (!replyIsLost || !result.passed) return;
  // The caller did not get the reply and sends the same extension again.
  expect(await limiter.extend(handle, { a, b }, sequence)).toMatchObject({ passed: true });
}

/** Every call of a reservation is repeated, as if its first reply was lost. */
async function repeat(world: World, limiter: Limiter, id: string, amounts: AB): Promise<void> {
  const known = world.model.byId.get(id);
  if (known === undefined) {
    await reserve(world, limiter, id, amounts);
    await reserve(world, limiter, id, amounts);
    return;
  }
  await extend(world, limiter, id, amounts, true);
  const handle = await handleOf(world, limiter, id);
  if (handle === null) return;
  const copies = [
    { ...handle, settlement: known.settlement },
    { ...handle, settlement: known.settlement },
  ];
  await settleWith(world, known, limiter, copies[0]!, amounts);
  const second = await limiter.settle(copies[1]!, amounts);
  expect(second).toEqual({ outcome: 'superseded', amounts: { a: amounts.a, b: amounts.b } });
  world.handles.set(id, copies[1]!);
}

/** `amounts` null: cancels. */
async function settle(world: World, limiter: Limiter, id: string, amounts: AB | null): Promise<void> {
  const handle = await handleOf(world, limiter, id);
  const known = world.model.byId.get(id);
  if (handle === null || known === undefined) return;
  await settleWith(world, known, limiter, handle, amounts);
}

async function settleWith(
  world: World,
  known: ModelReservation,
  limiter: Limiter,
  handle: Reservation,
  amounts: AB | null,
): Promise<void> {
  const isNewer = handle.settlement + 1 > known.settlement;
  const result = amounts === null ? await limiter.cancel(handle) : await limiter.settle(handle, amounts);
  if (isNewer) applySettlement(world, known, amounts, handle.settlement);
  expect(result).toEqual(replyFor(world, known, isNewer));
}

function applySettlement(world: World, known: ModelReservation, amounts: AB | null, sequence: number): void {
  const { model, nowMs } = world;
  if (amounts === null) model.settle(known, { requests: 0, a: 0, b: 0 }, nowMs);
  else model.settle(known, { a: amounts.a, b: amounts.b }, nowMs);
  known.state = amounts === null ? 'cancelled' : 'settled';
  known.settlement = sequence;
}

function replyFor({ model }: World, known: ModelReservation, isNewer: boolean): SettleResult {
  const amounts = { a: model.charged(known, 'a'), b: model.charged(known, 'b') };
  return { outcome: isNewer ? 'applied' : 'superseded', amounts };
}

/** Two limiters settle at the same time with different amounts: one is applied, and both get its amounts. */
async function race(world: World, id: string, { a, b }: AB): Promise<void> {
  const known = world.model.byId.get(id);
  const [first, second = first] = world.limiters;
  if (known === undefined || first === undefined || second === undefined) return;
  const found = await first.findReservation('acme', id);
  const also = await second.findReservation('acme', id);
  if (found === null || also === null) throw new Error('the reservation is lost');
  const amounts = [
    { a, b },
    { a: b, b: a },
  ] as const;
  const results = await Promise.all([
    first.settle(found.handle, amounts[0]),
    second.settle(also.handle, amounts[1]),
  ]);
  const applied = results.findIndex(({ outcome }) => outcome === 'applied');
  expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['applied', 'superseded']);
  expect(results[0].amounts).toEqual(results[1].amounts);
  applySettlement(world, known, amounts[applied] ?? null, known.settlement + 1);
}
