import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createCircuitBreaker } from '../../../shared/redis/fallback/circuit-breaker.ts';
import type { CircuitBreaker } from '../../../shared/redis/fallback/circuit-breaker.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';

let probe: () => Promise<unknown>;
let catchUp: () => Promise<void>;
let changes: string[];
let reconnects: number;
let breaker: CircuitBreaker;

beforeEach(() => {
  vi.useFakeTimers();
  changes = [];
  reconnects = 0;
  probe = () => Promise.resolve('OK');
  catchUp = () => Promise.resolve();
  breaker = createCircuitBreaker({
    callTimeoutMs: 35,
    probe: () => probe(),
    reconnect: () => void (reconnects += 1),
    catchUp: () => catchUp(),
    onChange: (available, reason) => void changes.push(available ? 'back' : reason),
    logger: createLogger('test', 'silent'),
  });
});
afterEach(() => {
  breaker.close();
  vi.useRealTimers();
});

const never = () => new Promise<never>(() => undefined);

test('a late call fails together with all others in flight, and later calls fail at once', async () => {
  probe = never;
  const calls = [breaker.run(never), breaker.run(never)].map((call) => call.catch(String));
  await vi.advanceTimersByTimeAsync(36);
  expect(await Promise.all(calls)).toEqual([
    expect.stringContaining('35 ms'),
    expect.stringContaining('35 ms'),
  ]);
  await expect(breaker.run(() => Promise.resolve(1))).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
  expect(changes).toEqual(['no answer within 35 ms']);
});

test('a call with a shorter wait of its own opens the breaker earlier', async () => {
  probe = never;
  const patient = breaker.run(never).catch(String);
  const impatient = breaker.run(never, 15).catch(String);
  await vi.advanceTimersByTimeAsync(16);
  expect(await impatient).toContain('15 ms');
  expect(await patient).toContain('15 ms');
});

test('a call cannot wait longer than the time limit of all calls', async () => {
  probe = never;
  const call = breaker.run(never, 500).catch(String);
  await vi.advanceTimersByTimeAsync(36);
  expect(await call).toContain('35 ms');
});

test('a successful probe closes the breaker', async () => {
  await expect(breaker.run(() => Promise.reject(new Error('OOM command not allowed')))).rejects.toThrow(
    'OOM',
  );
  expect(breaker.isOpen()).toBe(true);
  await vi.advanceTimersByTimeAsync(101);
  expect(breaker.isOpen()).toBe(false);
  expect(await breaker.run(() => Promise.resolve(7))).toBe(7);
});

test('an error of the script itself does not open the breaker', async () => {
  await expect(breaker.run(() => Promise.reject(new Error('WRONGTYPE Operation')))).rejects.toThrow(
    'WRONGTYPE',
  );
  expect(breaker.isOpen()).toBe(false);
});

test('without any reply the connection is opened again about once a second', async () => {
  probe = never;
  await breaker.run(() => Promise.reject(new Error('Connection is closed.'))).catch(String);
  await vi.advanceTimersByTimeAsync(5000);
  expect(reconnects).toBeGreaterThanOrEqual(3);
  expect(reconnects).toBeLessThanOrEqual(5);
});

test('a server that names why it cannot serve keeps its connection', async () => {
  probe = () => Promise.reject(new Error('OOM command not allowed'));
  await breaker.run(() => Promise.reject(new Error('OOM command not allowed'))).catch(String);
  await vi.advanceTimersByTimeAsync(5000);
  expect(reconnects).toBe(0);
  expect(breaker.isOpen()).toBe(true);
});

test('the breaker closes only after the catch-up; a failed catch-up is repeated after the next probe', async () => {
  probe = never;
  breaker.run(never).catch(() => undefined);
  await vi.advanceTimersByTimeAsync(36);
  const caughtUp = Promise.withResolvers<undefined>();
  const attempts = [() => Promise.reject(new Error('unavailable again')), () => caughtUp.promise];
  catchUp = () => attempts.shift()?.() ?? Promise.reject(new Error('called too often'));
  probe = () => Promise.resolve('OK');
  await vi.advanceTimersByTimeAsync(500);
  expect(attempts).toEqual([]);
  expect(breaker.isOpen()).toBe(true);
  caughtUp.resolve(undefined);
  await vi.advanceTimersByTimeAsync(0);
  expect(breaker.isOpen()).toBe(false);
  expect(changes).toEqual(['no answer within 35 ms', 'back']);
});
